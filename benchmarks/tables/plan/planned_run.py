"""One run of a table: what it is, the command that does it, and whether it is done."""

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import starmap
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from benchmarks.config.catalogue import flat
from benchmarks.config.compose import compose_group
from benchmarks.config.identity import protocol_fingerprint
from benchmarks.config.overrides import as_override, choices
from benchmarks.core.paths import outputs_dir, results_dir
from benchmarks.evaluation.prefetch import INCEPTION
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Evaluation, Record
from benchmarks.tables.spec import Column, Row
from datamodules.root import data_root, expanded

__all__ = [
    "ENDED_WITHOUT",
    "Key",
    "PlannedRun",
    "fingerprint_of",
    "kinds_of_end",
    "published_record_path",
    "with_what_they_need",
]

ENDED_WITHOUT = ("failed", "diverged", "timeout", "oom")  # a score; kinds, see `kinds_of_end`
OUT_OF_MEMORY = ("out of memory", "outofmemory", "allocate memory", "memoryerror")  # of reasons
LONGEST_TAG = 64  # that W&B takes
Key = tuple[str, str, str]


@dataclass(frozen=True)
class PlannedRun:
    """One run of a row on a data set.

    Attributes:
        row: The row that it belongs to.
        dataset: The name of the data set.
        seed: The seed of the run.
        experiment: Name, or "images".
        run_id: Expected id.
        protocols: Names of the protocols that the table's columns need.
        images_seen: Length of the training, for the estimate of the time left.
        weights: "raw" or "ema": what the columns show.
        snapshots: The images_seen of the snapshots to select among; none where the last
            checkpoint is shown.
        selected_by: Protocol that selects among them; None for each column's own.
        values: What the row or its search sets, by key.
        phase: The phase of a search; None for a run whose score is shown.
        configuration: The number of the configuration in the phase.
        table: Name of the table.
    """

    row: Row
    dataset: str
    seed: int
    experiment: str
    run_id: str
    protocols: tuple[str, ...]
    images_seen: int = 0
    weights: str = "raw"
    snapshots: tuple[int, ...] = ()
    selected_by: str | None = None
    values: tuple[tuple[str, Any], ...] = field(default=(), hash=False)
    phase: str | None = None
    configuration: int | None = None
    table: str = ""

    @cached_property
    def key(self) -> Key:
        """What joins a plan with records."""
        return (flat(self.experiment), self.dataset, self.run_id)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The fingerprints of its protocols."""
        return tuple(map(fingerprint_of, self.protocols))

    @property
    def run(self) -> Run:
        """The folder of the run in the working space."""
        return Run(outputs_dir().joinpath(*self.key))

    @property
    def label(self) -> str:
        """For progress and messages."""
        if self.phase is not None:
            return f"{self.row.label} {self.dataset} {self.phase} {self.configuration}"
        return f"{self.row.label} {self.dataset} s{self.seed}"

    def command(self, overrides: Sequence[str]) -> list[str]:
        """Return the verb and arguments that do this run."""
        protocols = ",".join(self.protocols)
        if self.row.images is not None:
            return [
                "evaluate",
                f"images={self.row.images}",
                f"datamodule={self.dataset}",
                f"protocol={protocols}",
                *([f"draws={self.row.draws}"] if self.row.draws > 1 else []),
            ]
        snapshots = f"snapshot_protocols=[{','.join(self.snapshot_protocols)}]"
        return [
            "train",
            "--no-bar",
            f"experiment={self.experiment}",
            f"datamodule={self.dataset}",
            f"seed={self.seed}",
            f"protocols=[{protocols}]",
            *([snapshots] if self.snapshots else []),
            *([f"draws={self.row.draws}"] if self.row.draws > 1 else []),
            *starmap(as_override, self.values),
            *(self._wandb_names() if "wandb" in choices(overrides, "logger") else []),
            *overrides,
        ]

    def _wandb_names(self) -> list[str]:
        """Group and tags of a run of a table; what the user gives comes after and wins."""
        marks = [f"{p}:{fingerprint_of(p)[:12]}" for p in self.protocols]
        seed = f"seed:{self.seed}" if self.phase is None else f"{self.phase}:{self.configuration}"
        tags = [f"table:{self.table}", f"row:{self.row.label}", f"data:{self.dataset}", seed]
        listed = ",".join(json.dumps(tag[:LONGEST_TAG]) for tag in [*tags, *marks])
        return [f"logger.wandb.group={self.table}", f"logger.wandb.tags=[{listed}]"]

    def lacks(self) -> str | None:
        """Return what this run needs and this machine has not, with what mends it; or None."""
        data = _source_of(self.dataset)
        if "source" in data and not _is_here(data):
            return f"data set {data.name} is missing: dgmbench prefetch {data.name}"
        for weights in self._weights():
            if not (data_root() / weights).exists():
                own = compose_group("extractor", INCEPTION).weights
                mend = f"dgmbench prefetch {INCEPTION}" if weights == own else "see DGMBENCH_DATA"
                return f"weights {weights} are missing: {mend}"
        return None

    def files(self) -> list[str]:
        """Return what this run reads most of in the data folder; some may not exist."""
        name = str(_source_of(self.dataset).name)
        return list(dict.fromkeys([f"{name}.npz", name, *self._weights()]))

    def _weights(self) -> list[str]:
        found = map(_weights_of, (*self.protocols, *self.snapshot_protocols))
        return [weights for weights in found if weights is not None]

    @property
    def snapshot_protocols(self) -> tuple[str, ...]:
        """What every snapshot is scored under, where one of them is selected."""
        names = (*self.protocols, *([self.selected_by] if self.selected_by else []))
        return names if self.snapshots else ()

    def is_done(self, record: Record | None, retry: Collection[str] = ()) -> bool:
        """Return whether a record needs no further work: scored, or ended without a score.

        Args:
            record: What there is.
            retry: Kinds of end that are worked on again, of `ENDED_WITHOUT`.
        """
        if record is None:
            return False
        kinds = kinds_of_end(record)
        if kinds:
            return not kinds & set(retry)
        scored = all(self._is_scored(record, p) for p in self.protocols)
        scored &= all(
            len(self._of_snapshots(record, p)) == len(self.snapshots)
            for p in self.snapshot_protocols
        )
        return record.status == "finished" and scored

    def evaluation(self, record: Record, protocol: str) -> Evaluation | None:
        """Return the evaluation of a run's last checkpoint under a protocol."""
        checkpoint = "images" if self.row.images is not None else "last"
        return record.evaluation(fingerprint_of(protocol), checkpoint, self.weights)

    def _is_scored(self, record: Record, protocol: str) -> bool:
        """Return whether a run is scored under a protocol, in the draws that its row asks for."""
        found = self.evaluation(record, protocol)
        return found is not None and found.num_draws >= self.row.draws

    def shown(self, record: Record, column: Column) -> Evaluation | None:
        """Return the evaluation that a column shows: the last checkpoint's, or the selected one.

        None where something is not scored yet.
        """
        if not self.snapshots:
            return self.evaluation(record, column.protocol)
        scored = self._of_snapshots(record, self.selected_by or column.protocol)
        if len(scored) < len(self.snapshots):
            return None
        values = {e.checkpoint: e.metrics.get(column.metric) for e in scored}
        finite = {at: value for at, value in values.items() if value is not None}
        if not finite:  # nothing to choose by: the run failed
            return replace(scored[0], metrics={column.metric: None})
        sign = 1 if column.better == "lower" else -1
        best = min(scored, key=lambda e: sign * finite.get(e.checkpoint, sign * math.inf))
        return record.evaluation(fingerprint_of(column.protocol), best.checkpoint, self.weights)

    def _of_snapshots(self, record: Record, protocol: str) -> list[Evaluation]:
        wanted = (fingerprint_of(protocol), self.weights)
        found = [e for e in record.evaluations if (e.fingerprint, e.weights) == wanted]
        return [e for e in found if e.checkpoint in map(str, self.snapshots)]


def with_what_they_need(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Return the runs that this machine has everything for; print what the others lack."""
    lacks = {run: run.lacks() for run in runs}
    for line in dict.fromkeys(filter(None, lacks.values())):
        print(f"left out: {line}")
    return [run for run, lack in lacks.items() if lack is None]


def kinds_of_end(record: Record) -> set[str]:
    """Return in what ways a run ended without a score; a failure for time or memory is two."""
    if record.status not in ("failed", "diverged"):
        return set()
    reason = (record.reason or "").lower()
    kinds: set[str] = {record.status}
    if record.status == "failed" and reason.startswith("time limit"):
        kinds.add("timeout")
    if record.status == "failed" and any(words in reason for words in OUT_OF_MEMORY):
        kinds.add("oom")
    return kinds


@lru_cache(maxsize=256)
def _source_of(dataset: str) -> DictConfig:
    """Return the config of the data that a data set is read from."""
    data = compose_group("datamodule", dataset)
    return compose_group("datamodule", data.made_from) if "made_from" in data else data


@lru_cache(maxsize=256)
def _weights_of(protocol: str) -> str | None:
    """Return the file of weights that a protocol's extractor reads from the data folder."""
    extractor = compose_group("protocol", protocol).get("extractor")
    return None if extractor is None else extractor.get("weights")


def _is_here(data: DictConfig) -> bool:
    root = expanded(data.root, f"root of {data.name}") if data.root else data_root()
    prepared = (root / f"{data.name}.npz", root / data.name / "test.npy")
    return any(file.exists() for file in prepared)


def published_record_path(table: str, planned: PlannedRun) -> Path:
    """Return where a record of a table is published."""
    name = f"{'-'.join(planned.key)}.json"
    return results_dir() / table / "records" / name


@lru_cache(maxsize=256)
def fingerprint_of(protocol: str) -> str:
    """Return the fingerprint of a protocol by its name."""
    return protocol_fingerprint(compose_group("protocol", protocol))
