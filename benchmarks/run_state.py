"""What a run is doing: its record, its signs of life and the queue, in one word and a line."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from benchmarks.core.errors import one_line
from benchmarks.records import Record, read_record
from benchmarks.runs import Run, clock
from benchmarks.slurm.commands import ended_states
from benchmarks.slurm.queue import Place

__all__ = ["KINDS", "State", "gone_jobs", "is_held", "record_or_fault", "state_of", "tail"]

KINDS = (  # of what is not finished, in the order of a count
    *("running", "pending", "requeued", "interrupted", "unscored", "failed", "diverged"),
    *("ended", "damaged"),
)
SILENT_SECONDS = 120.0  # of a process that beats every ten
TAIL_LINES, LONGEST_LINE, BYTES_PER_LINE = 3, 160, 4096


@dataclass(frozen=True)
class State:
    """What a run is doing.

    Attributes:
        kind: "finished", "missing", or one of `KINDS`.
        text: The same with where, how far, why.
        tail: Last lines of its log, where something went wrong.
    """

    kind: str
    text: str
    tail: tuple[str, ...] = ()


def record_or_fault(path: Path) -> Record | str | None:
    """Return a record, what is wrong with it, or None where there is none."""
    try:
        return read_record(path)
    except ValueError as error:
        return one_line(error)


def state_of(
    run: Run,
    found: Record | str | None,
    place: Place | None = None,
    gone: dict[str, str] | None = None,
) -> State:
    """Describe a run.

    Args:
        run: Its folder.
        found: Its record, or what is wrong with that.
        place: Where it was submitted.
        gone: Last states of jobs that left the queue.
    """
    if isinstance(found, str):
        return State("damaged", f"damaged: {found}")
    if place is not None and place.active:
        return _in_queue(run, place)
    if found is not None and found.status == "finished":
        return State("finished", f"finished, {len(found.evaluations)} evaluation(s)")
    if found is not None and found.status == "interrupted" and is_held(run):
        done, left = _progress(run)
        return State("running", f"running at {done:.0%}{left} ({run.owner()})")
    if found is not None and found.status in ("failed", "diverged"):
        lines = tail(run.folder / "run.log") if found.status == "failed" else ()
        lines = tuple(x for x in lines if str(found.reason)[:80] not in x)  # told already
        return State(found.status, f"{found.status}: {found.reason}", lines)
    if place is not None:
        return _after_queue(run, found, place, gone or {})
    if found is None:
        return State("missing", "missing")
    if not run.progress_path.exists():
        return State("interrupted", f"interrupted: {found.reason}")
    return State("interrupted", f"interrupted at {_progress(run)[0]:.0%}")


def gone_jobs(places: Collection[Place]) -> dict[str, str]:
    """Return the last states of jobs that are in the queue no more; of those SLURM remembers."""
    shown = {p.entry.job: p.entry.state for p in places if p.entry is not None}
    told = ("done", "cancelled")
    asked = [p.job for p in places if p.entry is None and p.notes.left not in told]
    return {**ended_states([job for job in asked if job is not None]), **shown}


def tail(
    path: Path, lines: int = TAIL_LINES, longest: int | None = LONGEST_LINE
) -> tuple[str, ...]:
    """Return the last lines of a log that say something, cut to a length unless it is None."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - BYTES_PER_LINE * lines))
            text = file.read().decode(errors="replace")
    except OSError:
        return ()
    said = [line.rstrip() for line in text.splitlines() if line.strip()]
    return tuple(line[:longest] for line in said[-lines:])


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
    done, left = _progress(run)
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
        at = f"at {_progress(run)[0]:.0%}" if begun else "before it began"
        return State("interrupted", f"cancelled {at}{name}")
    logs = (run.folder / "run.log", place.submission.log(place.task))
    return State("ended", f"ended: {how}{name}", next(filter(None, map(tail, logs)), ()))


def is_held(run: Run) -> bool:
    """Return whether a process works on it, as far as can be seen from here.

    One on another machine is seen by its beats; clocks may differ a little.
    """
    owner = run.owner()
    dead = owner is None or owner.is_dead_here()
    if dead is not None:
        return not dead
    try:
        return time.time() - run.lock_path.stat().st_mtime < SILENT_SECONDS
    except OSError:
        return False


def _progress(run: Run) -> tuple[float, str]:
    """Return the fraction done, and the time left in words."""
    done, left = run.progress()
    return done, f", {clock(left)} left" if left is not None else ""
