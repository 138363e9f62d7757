"""The plan of a table: rows x columns x seeds -> run ids. It joins, and never globs a folder."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from omegaconf import DictConfig

from benchmarks.compose import Composed, compose, compose_group, datasets_of, with_values
from benchmarks.errors import UserError, user_errors
from benchmarks.evaluation_ids import images_run_id, protocol_fingerprint
from benchmarks.identity import run_id
from benchmarks.paths import outputs_dir, results_dir
from benchmarks.prefetch import INCEPTION
from benchmarks.records import Evaluation, Record, better, read_record
from benchmarks.runs import Run
from benchmarks.tables.spec import Column, Row, TableSpec
from datamodules.root import data_root

__all__ = ["Plan", "PlannedRun", "fingerprint_of", "make_plan", "published_record_path"]

NO_MODEL = (  # protocols that score images or points that exist already
    "benchmarks.protocols.SampleProtocol",
    "benchmarks.coverage_protocol.CoverageProtocol",
)
PASSED_ON = ("trainer", "logger", "threads", "channels_last", "compile", "data_on_device")


@dataclass(frozen=True)
class PlannedRun:
    """One run of a row on a data set.

    Attributes:
        row: Its row.
        dataset: Its data set.
        seed: Its seed.
        experiment: Name, or "images".
        run_id: Expected id.
        protocols: Names of the protocols that the table's columns need.
        images_seen: Length of the training, for the estimate of the time left.
        weights: "raw" or "ema": what the columns show.
        snapshots: The images_seen of the snapshots to select among; none where the last
            checkpoint is shown.
        selected_by: Protocol that selects among them; None for each column's own.
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

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The fingerprints of its protocols."""
        return tuple(map(fingerprint_of, self.protocols))

    @property
    def run(self) -> Run:
        """Its folder in the working space."""
        return Run(outputs_dir() / self.experiment / self.dataset / self.run_id)

    @property
    def label(self) -> str:
        """For progress and messages."""
        return f"{self.row.label} s{self.seed}"

    def command(self, overrides: Sequence[str]) -> list[str]:
        """Return the verb and arguments that do this run."""
        protocols = ",".join(self.protocols)
        if self.row.images is not None:
            return [
                "evaluate",
                f"images={self.row.images}",
                f"datamodule={self.dataset}",
                f"protocol={protocols}",
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
            *overrides,
        ]

    def lacks(self) -> str | None:
        """Return what this run needs and this machine has not, with what mends it; or None."""
        data = compose_group("datamodule", self.dataset)
        if "made_from" in data:
            data = compose_group("datamodule", data.made_from)
        if "source" in data and not _is_here(data):
            return f"data set {data.name} is missing: dgmbench prefetch {data.name}"
        for name in (*self.protocols, *self.snapshot_protocols):
            extractor = compose_group("protocol", name).get("extractor")
            weights = None if extractor is None else extractor.get("weights")
            if weights is not None and not (data_root() / weights).exists():
                own = compose_group("extractor", INCEPTION).weights
                mend = f"dgmbench prefetch {INCEPTION}" if weights == own else "see DGMBENCH_DATA"
                return f"weights {weights} are missing: {mend}"
        return None

    @property
    def snapshot_protocols(self) -> tuple[str, ...]:
        """What every snapshot is scored under, where one of them is selected."""
        names = (*self.protocols, *([self.selected_by] if self.selected_by else []))
        return names if self.snapshots else ()

    def is_done(self, record: Record | None) -> bool:
        """Return whether a record needs no further work: scored, or diverged."""
        if record is None:
            return False
        if record.status == "diverged":
            return True
        scored = all(self.evaluation(record, p) for p in self.protocols)
        scored &= all(
            len(self._of_snapshots(record, p)) == len(self.snapshots)
            for p in self.snapshot_protocols
        )
        return record.status == "finished" and scored

    def evaluation(self, record: Record, protocol: str) -> Evaluation | None:
        """Return the evaluation of a run's last checkpoint under a protocol."""
        checkpoint = "images" if self.row.images is not None else "last"
        return record.evaluation(fingerprint_of(protocol), checkpoint, self.weights)

    def shown(self, record: Record, column: Column) -> Evaluation | None:
        """Return the evaluation that a column shows: the last checkpoint's, or the selected one.

        None where something is not scored yet.
        """
        if not self.snapshots:
            return self.evaluation(record, column.protocol)
        scored = self._of_snapshots(record, self.selected_by or column.protocol)
        if len(scored) < len(self.snapshots):
            return None
        finite = [e for e in scored if e.metrics.get(column.metric) is not None]
        sign = 1 if column.better == "lower" else -1
        best = min(finite or scored, key=lambda e: sign * (e.metrics.get(column.metric) or 0.0))
        return record.evaluation(fingerprint_of(column.protocol), best.checkpoint, self.weights)

    def _of_snapshots(self, record: Record, protocol: str) -> list[Evaluation]:
        wanted = (fingerprint_of(protocol), self.weights)
        found = [e for e in record.evaluations if (e.fingerprint, e.weights) == wanted]
        return [e for e in found if e.checkpoint in map(str, self.snapshots)]


@dataclass(frozen=True)
class Plan:
    """A table's runs, with the fingerprints of its columns."""

    spec: TableSpec
    runs: tuple[PlannedRun, ...]

    def cell(self, row: Row, column: Column) -> list[PlannedRun]:
        """Return the runs of one cell, by seed; none where the row is not for the data set."""
        return [r for r in self.runs if r.row == row and r.dataset == column.dataset]

    def records(self, published: bool, outputs: bool = True) -> dict[tuple[str, str, str], Record]:
        """Return the records there are, by (experiment, dataset, run id); of two, the better."""
        found = {}
        for planned in self.runs:
            local = _read(planned.run.record_path) if outputs else None
            public = _read(published_record_path(self.spec.name, planned)) if published else None
            record = better(local, public)
            if record is not None:
                found[key_of(planned)] = record
        return found


def _is_here(data: DictConfig) -> bool:
    root = Path(data.root).expanduser() if data.root else data_root()
    prepared = (root / f"{data.name}.npz", root / data.name / "test.npy")
    return any(file.exists() for file in prepared)


def key_of(planned: PlannedRun) -> tuple[str, str, str]:
    """Return what joins a plan with records."""
    return (planned.experiment, planned.dataset, planned.run_id)


def published_record_path(table: str, planned: PlannedRun) -> Path:
    """Return where a record of a table is published."""
    name = f"{planned.experiment}-{planned.dataset}-{planned.run_id}.json"
    return results_dir() / table / "records" / name


def make_plan(spec: TableSpec, seeds: int) -> Plan:
    """Compose each (experiment, data set) once and derive the ids of all seeds.

    Raises:
        UserError: if seeds < 1, or a row or column does not resolve.
    """
    if seeds < 1:
        raise UserError(f"seeds must be >= 1, got {seeds}")
    _check_selector(spec)
    runs: list[PlannedRun] = []
    for row in spec.rows:
        for dataset in dict.fromkeys(c.dataset for c in spec.columns):
            protocols = _protocols(spec, dataset)
            if row.images is not None:
                runs += _images_run(row, dataset, protocols)
            elif row.experiment is not None:
                runs += _training_runs(spec, row, dataset, protocols, seeds)
    return Plan(spec, tuple(runs))


def check_passed_on(spec: TableSpec, overrides: Sequence[str]) -> None:
    """Refuse overrides that would change what a table's runs are, or that do not compose."""
    for override in overrides:
        name = override.lstrip("+~").split("=")[0].split(".")[0]
        if name not in PASSED_ON:
            raise UserError(
                f"a table passes on overrides of {', '.join(PASSED_ON)} only, got {override!r}"
            )
    for row in spec.rows:
        if row.experiment is not None:
            compose([f"experiment={row.experiment}", *overrides])
            return


def default_jobs(spec: TableSpec, overrides: Sequence[str]) -> int:
    """Return how many runs go side by side: one per core, or one where each takes the GPUs."""
    cores = len(os.sched_getaffinity(0))
    experiment = next((row.experiment for row in spec.rows if row.experiment), None)
    if experiment is None:
        return cores
    cfg = compose([f"experiment={experiment}", *overrides]).cfg
    return 1 if cfg.trainer.accelerator in ("gpu", "cuda") else cores


def _protocols(spec: TableSpec, dataset: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(c.protocol for c in spec.columns if c.dataset == dataset))


@lru_cache(maxsize=256)
def fingerprint_of(protocol: str) -> str:
    """Return the fingerprint of a protocol by its name."""
    return protocol_fingerprint(compose_group("protocol", protocol))


def _images_run(row: Row, dataset: str, protocols: tuple[str, ...]) -> list[PlannedRun]:
    assert row.images is not None
    data = compose_group("datamodule", dataset)
    protocols = tuple(p for p in protocols if compose_group("protocol", p)._target_ in NO_MODEL)
    if not protocols:
        return []
    identifier = images_run_id(row.images, data)
    return [PlannedRun(row, dataset, 0, "images", identifier, protocols)]


def _training_runs(
    spec: TableSpec, row: Row, dataset: str, protocols: tuple[str, ...], seeds: int
) -> list[PlannedRun]:
    assert row.experiment is not None
    composed = _compose(row.experiment, dataset)
    if composed is None:
        return []
    own = tuple(p for p in protocols if p in composed.cfg.protocols)
    snapshots = () if spec.selection == "none" else _snapshots(spec, composed)
    return [
        PlannedRun(
            row,
            dataset,
            seed,
            row.experiment,
            run_id(with_values(composed.cfg, {"seed": seed})),
            own,
            composed.cfg.images_seen,
            composed.cfg.weights,
            snapshots,
            spec.selected_by,
        )
        for seed in range(seeds)
    ]


def _snapshots(spec: TableSpec, composed: Composed) -> tuple[int, ...]:
    """Return the images_seen at which a run keeps snapshots: the first step at or past each."""
    cfg = composed.cfg
    every, step = cfg.snapshot_every_images, cfg.model.batch_size * cfg.model.get("n_critic", 1)
    budget = cfg.images_seen // step * step
    if every is None or every > budget:
        raise UserError(
            f"table {spec.name}: selection {spec.selection} needs snapshots, and "
            f"snapshot_every_images of {composed.experiment} on {composed.dataset} is {every}"
        )
    at = (-(-k * every // step) * step for k in range(1, budget // every + 1))
    return tuple(dict.fromkeys(images for images in at if images <= budget))


def _check_selector(spec: TableSpec) -> None:
    """A selector on validation images must look at validation images."""
    if spec.selected_by is None:
        return
    cfg = compose_group("protocol", spec.selected_by)
    split = cfg.get("real_split", cfg.get("split"))
    if split != "validation":
        raise UserError(
            f"table {spec.name}: selected_by must be a protocol on the validation split, "
            f"got {spec.selected_by} on {split}"
        )


@lru_cache(maxsize=256)
def _compose(experiment: str, dataset: str) -> Composed | None:
    """Compose a row on a data set; None where it is not for it."""
    own = compose([f"experiment={experiment}"])
    if dataset not in datasets_of(own.cfg):
        return None
    if own.dataset == dataset:
        return own
    return compose([f"experiment={experiment}", f"datamodule={dataset}"])


def _read(path: Path) -> Record | None:
    with user_errors(ValueError):
        return read_record(path)
