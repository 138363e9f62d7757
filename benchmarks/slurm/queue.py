"""Where runs are: the queue, joined with what was submitted."""

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.slurm import commands
from benchmarks.slurm.commands import Entry
from benchmarks.slurm.submissions import Notes, Submission, all_submissions

__all__ = ["Place", "in_queue", "places"]

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Place:
    """Where a run is that was submitted.

    Attributes:
        submission: Its newest.
        task: Of the array.
        entry: What the queue shows; None where the job is gone.
        notes: What the job wrote of itself.
    """

    submission: Submission
    task: int
    entry: Entry | None
    notes: Notes

    @property
    def active(self) -> bool:
        """Whether its job waits or runs."""
        return self.entry is not None and self.entry.active

    @property
    def job(self) -> str | None:
        """Its id."""
        return self.submission.job(self.task)


def in_queue() -> set[Key]:
    """Return the keys of the runs that wait, run, or wait in a job that runs.

    Raises:
        SlurmError: if SLURM does not answer.
    """
    found = set()
    by_name = {s.name: s for s in all_submissions()}
    for entry in commands.queue():
        submission = by_name.get(entry.name)
        if submission is None or not entry.active:
            continue
        ended = submission.notes(entry.task).ended
        found |= {w.key for w in submission.jobs[entry.task] if w.name not in ended}
    return found


def places(wanted: Iterable[Key]) -> dict[Key, Place]:
    """Return where runs are; those that were never submitted are left out. One call to the queue.

    Raises:
        SlurmError: if SLURM does not answer.
    """
    newest = {key: s for s in all_submissions() for key in s.places}
    mine = {key: newest[key] for key in wanted if key in newest}
    if not mine:
        return {}
    entries = {(e.name, e.task): e for e in commands.queue()}
    found = {}
    for key, submission in mine.items():
        task = submission.places[key]
        entry = entries.get((submission.name, task))
        found[key] = Place(submission, task, entry, submission.notes(task))
    return found
