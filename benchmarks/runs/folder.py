"""The folder of a run: outputs/<paper>_<method>/<dataset>/<run id>/."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.config.catalogue import flat
from benchmarks.config.compose import Composed
from benchmarks.config.identity import run_id
from benchmarks.core.errors import UserError, user_errors
from benchmarks.core.paths import outputs_dir
from benchmarks.runs.lock import HeldError, Owner, held, owner_of
from benchmarks.runs.record import Record, read_record

__all__ = ["Run", "clock"]


PARTS = ("checkpoints", "samples", "logs", "export")


@dataclass(frozen=True)
class Run:
    """Paths of one run."""

    folder: Path

    @classmethod
    def of(cls, composed: Composed) -> "Run":
        """Return the folder that a composed config trains in."""
        with user_errors(ValueError):  # numbers that are none
            identifier = run_id(composed.cfg)
        return cls(outputs_dir() / flat(composed.experiment) / composed.dataset / identifier)

    @property
    def id(self) -> str:
        """The run id."""
        return self.folder.name

    @property
    def key(self) -> tuple[str, str, str]:
        """Experiment (flat), data set, run id: what joins it with plans, records and jobs."""
        experiment, dataset, run_id = self.folder.absolute().parts[-3:]
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
    def lock_path(self) -> Path:
        """The lease of who works on it."""
        return self.folder / ".lock"

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
        self.check_links()
        with ExitStack() as stack:
            try:
                stack.enter_context(held(self.lock_path))
            except HeldError as owner:
                raise UserError(f"run {self.folder} is in use by {owner}") from None
            except OSError as error:
                raise UserError(f"run {self.folder} must be writable: {error.strerror}") from None
            for left in (*self.folder.glob(".*.part"), *self.checkpoints.glob("*.part")):
                left.unlink()  # by a process that was killed while it wrote
            yield

    def check_links(self) -> None:
        """Refuse a folder whose parts lie elsewhere: what is written or removed there is not ours.

        Raises:
            UserError: naming the link.
        """
        for part in (*PARTS, "record.json", "config.yaml", "wandb"):
            if (self.folder / part).is_symlink():
                raise UserError(f"{self.folder / part} must be the run's own, got a link")

    def progress(self) -> tuple[float, float | None]:
        """Return (fraction done, seconds left) as the run itself reports; 0 and None before."""
        try:
            values = json.loads(self.progress_path.read_text(encoding="utf-8"))
            left = values["seconds_left"]
            done = values["images_seen"] / max(values["budget_images"], 1)
            return float(done), None if left is None else float(left)
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0, None

    def owner(self) -> Owner | None:
        """Return the process that holds the run, or None."""
        return owner_of(self.lock_path)

    def record(self) -> Record | None:
        """Return the record, or None."""
        return read_record(self.record_path)


def clock(seconds: float) -> str:
    """Return a duration as [hours:]minutes:seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
