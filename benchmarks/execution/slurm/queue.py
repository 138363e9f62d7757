"""Where runs are: the queue, joined with what was submitted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.execution.slurm import commands
from benchmarks.execution.slurm.commands import Entry
from benchmarks.execution.slurm.submissions import Notes, Submission, Work, all_submissions

__all__ = ["Place", "in_queue", "places"]

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Place:
    """Where a run is that was submitted.

    Attributes:
        work: The run.
        submission: The newest submission that holds it.
        task: The number of its task in the array.
        entry: What the queue shows; None where the job is gone.
        notes: What the job wrote of itself.
    """

    work: Work
    submission: Submission
    task: int
    entry: Entry | None
    notes: Notes

    @property
    def active(self) -> bool:
        """Whether it waits or runs in a job that does; not one that has ended there."""
        ended = self.work.name in self.notes.ended
        return self.entry is not None and self.entry.active and not ended

    @property
    def job(self) -> str | None:
        """The id of its job."""
        return self.submission.job(self.task)


def in_queue() -> set[Key]:
    """Return the keys of the runs that wait, run, or wait in a job that runs.

    Raises:
        SlurmError: if SLURM does not answer.
    """
    found = set()
    for submission, entries in _queue_of(all_submissions()):
        for entry in entries.values():
            if not entry.active:
                continue
            ended = submission.notes(entry.task).ended
            found |= {w.key for w in submission.jobs[entry.task] if w.name not in ended}
    return found


def places(wanted: Iterable[Key]) -> dict[Key, Place]:
    """Return where runs are; those that were never submitted are left out. One call to the queue.

    Raises:
        SlurmError: if SLURM does not answer.
    """
    keys = set(wanted)
    mine = [s for s in all_submissions() if not keys.isdisjoint(s.places)]
    found = {}
    for submission, entries in _queue_of(mine):  # a newer one takes the place of an older
        if not entries and not submission.reached_slurm:
            continue
        for key in keys & submission.places.keys():
            task = submission.places[key]
            work = next(w for w in submission.jobs[task] if w.key == key)
            notes = submission.notes(task)
            found[key] = Place(work, submission, task, entries.get(task), notes)
    return found


def _queue_of(
    submissions: Sequence[Submission],
) -> list[tuple[Submission, dict[int, Entry]]]:
    """Return what the queue shows of each submission, by task."""
    if not submissions:
        return []
    shown: dict[str, dict[int, Entry]] = {}
    for entry in commands.queue({s.user for s in submissions}):
        shown.setdefault(entry.name, {})[entry.task] = entry
    return [(s, shown.get(s.name, {})) for s in submissions]
