"""What is written in a run's folder while it runs: the record, the config, an error."""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import OmegaConf

from benchmarks.config.compose import Composed, compose_group
from benchmarks.config.deviations import stated_deviations
from benchmarks.config.identity import NOT_IDENTITY, identity, libraries_of
from benchmarks.core.environment import (
    code_state,
    device_name,
    instructions,
    library_versions,
    now,
    peak_memory_bytes,
)
from benchmarks.core.errors import user_errors
from benchmarks.core.files import write_atomically
from benchmarks.core.redaction import redacted, redacted_values
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Evaluation, Record, Status
from datamodules.base import DataModule

__all__ = ["RunWriter"]

SPEED = ("threads", "channels_last", "compile")  # settings that change rounding only
PRIVATE = ("logger", "hydra")  # groups that name hosts or accounts


@dataclass(frozen=True)
class RunWriter:
    """The record of a run, and the files beside it; only the first process writes.

    Attributes:
        composed: The config.
        run: Where the files stand.
        record: As it will be written next.
    """

    composed: Composed
    run: Run
    record: Record

    @classmethod
    def open(cls, composed: Composed, run: Run) -> "RunWriter":
        """Go on with a run's record, or begin one.

        Raises:
            UserError: if there is a file that is no record.
        """
        with user_errors(ValueError):
            record = run.record()
        if record is None:
            cfg = composed.cfg
            record = Record(
                experiment=composed.experiment,
                dataset=composed.dataset,
                run_id=run.id,
                seed=cfg.seed,
                status="interrupted",
                method=cfg.method,
                row=cfg.row,
                started=now(),
            )
        return cls(composed, run, record)

    def begin(self, datamodule: DataModule, draws_dropout: bool) -> None:
        """Write what is known before the first step.

        A run goes on under the code of its last part.

        Args:
            datamodule: Set up.
            draws_dropout: Whether the number of processes matters.
        """
        record, cfg, code = self.record, self.composed.cfg, code_state()
        before = {record.code.get("git_commit"), *record.code.get("earlier_commits", [])}
        record.code = {**code, "earlier_commits": sorted(before - {None, code["git_commit"]})}
        protocols = {*cfg.protocols, *cfg.snapshot_protocols, cfg.track.protocol} - {None}
        measured = [compose_group("protocol", name) for name in protocols]
        record.versions = library_versions(libraries_of(cfg.datamodule, cfg.model, *measured))
        record.overrides = _portable(self.composed.overrides)
        record.deviations = stated_deviations(cfg, record.overrides)
        record.data_fingerprint = datamodule.found_fingerprint
        record.data_pinned = datamodule.fingerprint is not None
        record.config = {
            **identity(cfg),
            "weights": cfg.weights,
            **{key: cfg[key] for key in SPEED},
            "draws_dropout": draws_dropout,
        }
        record.status, record.reason = "interrupted", "started and not ended"
        self.write()
        values = redacted_values(OmegaConf.to_container(cfg, resolve=True))
        self._write_text("config.yaml", OmegaConf.to_yaml(values))

    def keep(self, evaluation: Evaluation) -> None:
        """Add an evaluation and write."""
        self.record.add(evaluation)
        self.write()

    def take_stock(self, model: Any, seconds: float, device: torch.device, processes: int) -> None:
        """Fill in how far the run got, and what it cost."""
        cfg = self.composed.cfg
        self.record.counters = {
            "images_seen": model.images_seen,
            "budget_images": cfg.images_seen,
            "updates": model.images_seen // model.images_per_step,
        }
        self.record.cost = {
            "seconds": round(seconds, 3),
            "images_per_second": round(model.images_seen / seconds, 1) if seconds else None,
            "device": device_name(device),
            "instructions": instructions(device),
            "processes": processes,
            "threads": cfg.threads,
            "peak_memory_bytes": peak_memory_bytes(),
        }
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            self.record.cost["peak_device_memory_bytes"] = torch.cuda.max_memory_allocated()

    def end(self, status: Status, reason: str | None) -> None:
        """Write how the run ended."""
        self.record.status, self.record.ended = status, now()
        self.record.reason = reason
        self.write()

    @rank_zero_only
    def write(self) -> None:
        """Write the record."""
        self.record.write(self.run.record_path)

    def write_error(self) -> None:
        """Write the traceback of the exception at hand."""
        self._write_text("error.txt", redacted(traceback.format_exc()))

    @rank_zero_only
    def _write_text(self, name: str, text: str) -> None:
        write_atomically(self.run.folder / name, text)


def _portable(overrides: Sequence[str]) -> list[str]:
    """Leave out overrides that name paths, hosts or accounts."""
    return [
        o
        for o in overrides
        if o.split("=")[0].split(".")[-1] not in NOT_IDENTITY
        and o.lstrip("+~").split("=")[0].split(".")[0] not in PRIVATE
    ]
