"""The folder of a run: outputs/<experiment>/<dataset>/<run id>/."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.compose import Composed
from benchmarks.errors import UserError
from benchmarks.identity import run_id
from benchmarks.lease import HeldError, Owner, held, owner_of
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
    def key(self) -> tuple[str, str, str]:
        """Experiment, data set, run id: what joins it with plans, records and jobs."""
        experiment, dataset, run_id = self.folder.parts[-3:]
        return (experiment, dataset, run_id)

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
        """Hold the run alone.

        Raises:
            UserError: naming who holds it, if another process does; if it cannot be written.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(held(self.folder / ".lock"))
            except HeldError as owner:
                raise UserError(f"run {self.folder} is in use by {owner}") from None
            except OSError as error:
                raise UserError(f"run {self.folder} must be writable: {error.strerror}") from None
            for left in (*self.folder.glob(".*.part"), *self.checkpoints.glob("*.part")):
                left.unlink()  # by a process that was killed while it wrote
            yield

    def owner(self) -> Owner | None:
        """Return the process that holds the run, or None."""
        return owner_of(self.folder / ".lock")

    def record(self) -> Record | None:
        """Return the record, or None."""
        return read_record(self.record_path)
