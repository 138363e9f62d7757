"""The folder of a run: outputs/<experiment>/<dataset>/<run id>/."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.compose import Composed
from benchmarks.errors import UserError
from benchmarks.identity import run_id
from benchmarks.paths import outputs_dir
from benchmarks.records import Record, read_record

__all__ = ["Run"]


@dataclass(frozen=True)
class Run:
    """Paths of one run."""

    folder: Path

    @classmethod
    def of(cls, composed: Composed) -> "Run":
        """Return the folder that a composed config trains in."""
        return cls(outputs_dir() / composed.experiment / composed.dataset / run_id(composed.cfg))

    @property
    def id(self) -> str:
        """The run id."""
        return self.folder.name

    @property
    def record_path(self) -> Path:
        """The record."""
        return self.folder / "record.json"

    @property
    def config_path(self) -> Path:
        """The whole config."""
        return self.folder / "config.yaml"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints and snapshots."""
        return self.folder / "checkpoints"

    @property
    def samples(self) -> Path:
        """Folder of sample grids."""
        return self.folder / "samples"

    @property
    def logs(self) -> Path:
        """Folder of the loggers."""
        return self.folder / "logs"

    @property
    def progress_path(self) -> Path:
        """What a running run writes for others."""
        return self.folder / "progress.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run alone; the system lets go when the process ends, however it ends.

        Raises:
            UserError: if another process holds it.
        """
        with (self.folder / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UserError(f"run {self.folder} is in use by another process") from None
            yield

    def record(self) -> Record | None:
        """Return the record, or None."""
        return read_record(self.record_path)
