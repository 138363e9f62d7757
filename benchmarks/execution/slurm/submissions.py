"""What was submitted: a folder for each array, that its jobs read and leave notes in."""

import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.config.catalogue import flat
from benchmarks.core.errors import UserError, one_line
from benchmarks.core.files import write_atomically
from benchmarks.core.paths import outputs_dir
from benchmarks.runs.folder import Run

__all__ = ["Notes", "Submission", "Work", "all_submissions", "submissions_dir"]

PREFIX = "dgmbench-"  # of the names of jobs


@dataclass(frozen=True)
class Work:
    """One run of a job.

    Attributes:
        label: For messages.
        experiment: The name of the experiment, or "images".
        dataset: The data set of the run.
        run_id: The id of the run.
        seed: The seed of the run.
        method: What the table calls it.
        command: Verb and arguments that do it.
        files: What it reads of the data folder.
    """

    label: str
    experiment: str
    dataset: str
    run_id: str
    seed: int
    method: str
    command: tuple[str, ...]
    files: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """What joins it with plans and records."""
        return (flat(self.experiment), self.dataset, self.run_id)

    @property
    def name(self) -> str:
        """The name of its folder in the working space."""
        return "/".join(self.key)

    @property
    def run(self) -> Run:
        """The folder of the run."""
        return Run(outputs_dir() / self.name)


@dataclass(frozen=True)
class Submission:
    """One array of jobs.

    Attributes:
        id: Drawn for it; in the name of its jobs, by which the queue is joined with it.
        table: Name of the table.
        submitted: ISO time, UTC.
        user: Number of who submitted it.
        folder: Where it is kept.
        cwd: Where it was submitted.
        variables: DGMBENCH_* of the runs.
        time_minutes: Limit of a job.
        signal_seconds: Before it, when the signal comes.
        side_by_side: Runs of a job at once.
        stage_to: Node-local folder for data.
        jobs: The runs of each task of the array.
    """

    id: str
    table: str
    submitted: str
    user: int
    folder: Path
    cwd: str
    variables: dict[str, str]
    time_minutes: int
    signal_seconds: int
    side_by_side: int
    stage_to: str | None
    jobs: tuple[tuple[Work, ...], ...]

    @property
    def name(self) -> str:
        """The name of its jobs in the queue."""
        return f"{PREFIX}{self.id}"

    def write(self) -> None:
        """Write it into its folder; before it is submitted, so that no job is ever unknown."""
        values = {**asdict(self), "folder": None}
        write_atomically(self.folder / "runs.json", json.dumps(values) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Submission":
        """Read it."""
        values = json.loads((folder / "runs.json").read_text(encoding="utf-8"))
        jobs = tuple(tuple(_work(w) for w in works) for works in values.pop("jobs"))
        return cls(**{**values, "folder": folder}, jobs=jobs)

    @cached_property
    def places(self) -> dict[tuple[str, str, str], int]:
        """Return the task of each run."""
        return {work.key: task for task, works in enumerate(self.jobs) for work in works}

    def notes(self, task: int) -> "Notes":
        """Return what the job of a task has noted."""
        return Notes.read(self.notes_path(task))

    def notes_path(self, task: int) -> Path:
        """Return where the job of a task takes notes."""
        return self.folder / f"{task}.json"

    def keep_id(self, job: str) -> None:
        """Write the id that SLURM gave."""
        write_atomically(self.folder / "job", f"{job}\n")

    @property
    def reached_slurm(self) -> bool:
        """Whether SLURM took it, as far as is known here."""
        return (self.folder / "job").exists() or any(self.folder.glob("[0-9]*.json"))

    def job(self, task: int) -> str | None:
        """Return the id of a task's job, "12" or "12_3"; None if it never reached SLURM."""
        try:
            job = (self.folder / "job").read_text(encoding="utf-8").strip()
        except OSError:
            return self.notes(task).job or None
        return f"{job}_{task}" if len(self.jobs) > 1 else job

    def log(self, task: int) -> Path:
        """Return where the first process of a task's job writes."""
        return self.folder / f"{self.job(task)}_0_log.out"


def _work(values: dict[str, Any]) -> Work:
    lists = {key: tuple(values[key]) for key in ("command", "files")}
    return Work(**{**values, **lists})


@dataclass
class Notes:
    """What a job writes of itself, for others and for its next life.

    Attributes:
        job: "12" or "12_3".
        node: Where it ran last.
        lives: How often it was started.
        began: How far each run was, images seen and evaluations, that began in this life, by its
            name.
        idle: Lives in a row in which no run got further.
        ended: The exit code of each run that needs no more work in this job, by its name.
        left: How it left, in words; None while it runs, or if it was killed.
    """

    job: str = ""
    node: str = ""
    lives: int = 0
    idle: int = 0
    began: dict[str, list[int]] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    left: str | None = None

    @classmethod
    def read(cls, path: Path) -> "Notes":
        """Read them; empty where there are none."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return cls()

    def write(self, path: Path) -> None:
        """Write them at once."""
        write_atomically(path, json.dumps(asdict(self)) + "\n")


def submissions_dir() -> Path:
    """Return the folder of submissions."""
    return outputs_dir() / "slurm"


def all_submissions() -> list[Submission]:
    """Return what was submitted, in order.

    Raises:
        UserError: naming a file that cannot be read.
    """
    found = []
    for path in submissions_dir().glob("*/runs.json"):
        try:
            found.append(Submission.read(path.parent))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path} cannot be read: {one_line(error)}") from error
    return sorted(found, key=lambda s: (s.submitted, s.id))
