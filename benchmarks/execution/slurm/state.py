"""What a run is doing that was submitted, in one word and a line."""

from collections.abc import Collection

from benchmarks.execution.slurm.commands import ended_states
from benchmarks.execution.slurm.queue import Place
from benchmarks.runs import state
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Record
from benchmarks.runs.state import State, is_held, progress_of, tail

__all__ = ["gone_jobs", "state_of"]


def state_of(
    run: Run,
    found: Record | str | None,
    place: Place | None = None,
    gone: dict[str, str] | None = None,
) -> State:
    """Describe a run.

    Args:
        run: The run's folder.
        found: The run's record, or what is wrong with that.
        place: Where it was submitted; None if it never was.
        gone: Last states of jobs that left the queue.
    """
    if place is not None and place.active and not isinstance(found, str):
        return _in_queue(run, place)
    own = state.state_of(run, found)
    if place is not None and own.kind in ("missing", "interrupted"):
        assert not isinstance(found, str)
        return _after_queue(run, found, place, gone or {})
    return own


def gone_jobs(places: Collection[Place]) -> dict[str, str]:
    """Return the last states of jobs that are in the queue no more; of those SLURM remembers."""
    shown = {p.entry.job: p.entry.state for p in places if p.entry is not None}
    told = ("done", "cancelled")
    asked = [p.job for p in places if p.entry is None and p.notes.left not in told]
    return {**ended_states([job for job in asked if job is not None]), **shown}


def _in_queue(run: Run, place: Place) -> State:
    entry, notes = place.entry, place.notes
    assert entry is not None
    if entry.state == "PENDING":
        if not notes.lives:
            return State("pending", f"pending ({entry.reason}), job {entry.job}")
        last = notes.left or "ended without a word: it, or its node, was killed"
        return State(
            "requeued",
            f"requeued ({entry.reason}), job {entry.job}; its life {notes.lives} on {notes.node}: "
            f"{last}",
        )
    if not is_held(run):
        several = len(place.submission.jobs[place.task]) > 1
        waits = several and place.work.name not in notes.began
        doing = ("waits" if waits else "starts") if entry.state == "RUNNING" else "ends"
        return State("running", f"{doing} in job {entry.job} on {entry.node}")
    done, left = progress_of(run)
    life = f", life {notes.lives}" if notes.lives > 1 else ""
    return State(
        "running",
        f"running on {entry.node} at {done:.0%}{left} "
        f"(job {entry.job}{life}, {entry.time_left} of its time left)",
    )


def _after_queue(run: Run, found: Record | None, place: Place, gone: dict[str, str]) -> State:
    """Describe a run that is not finished, and whose job is gone."""
    job = place.job or ""
    how = gone.get(job) or place.notes.left or "gone, and SLURM remembers nothing of it"
    where = f" on {place.notes.node}" if place.notes.node else ""
    name = f" (job {job}{where})" if job else ""
    if "CANCELLED" in (gone.get(job), how.upper()):
        begun = place.notes.lives or found is not None
        at = f"at {progress_of(run)[0]:.0%}" if begun else "before it began"
        return State("interrupted", f"cancelled {at}{name}")
    logs = (run.folder / "run.log", place.submission.log(place.task))
    return State("ended", f"ended: {how}{name}", next(filter(None, map(tail, logs)), ()))
