"""What a run is doing, by its record and its signs of life, in one word and a line."""

import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.core.errors import one_line
from benchmarks.runs.folder import Run, clock
from benchmarks.runs.record import Record, read_record

__all__ = ["KINDS", "State", "is_held", "progress_of", "record_or_fault", "state_of", "tail"]

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


def state_of(run: Run, found: Record | str | None) -> State:
    """Describe a run by its folder, wherever it runs.

    Args:
        run: The run's folder.
        found: The run's record, or what is wrong with that.
    """
    if isinstance(found, str):
        return State("damaged", f"damaged: {found}")
    if found is None:
        return State("missing", "missing")
    if found.status == "finished":
        return State("finished", f"finished, {len(found.evaluations)} evaluation(s)")
    if found.status == "interrupted" and is_held(run):
        done, left = progress_of(run)
        return State("running", f"running at {done:.0%}{left} ({run.owner()})")
    if found.status in ("failed", "diverged"):
        lines = tail(run.folder / "run.log") if found.status == "failed" else ()
        lines = tuple(x for x in lines if str(found.reason)[:80] not in x)  # told already
        return State(found.status, f"{found.status}: {found.reason}", lines)
    if not run.progress_path.exists():
        return State("interrupted", f"interrupted: {found.reason}")
    return State("interrupted", f"interrupted at {progress_of(run)[0]:.0%}")


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


def progress_of(run: Run) -> tuple[float, str]:
    """Return the fraction done, and the time left in words."""
    done, left = run.progress()
    return done, f", {clock(left)} left" if left is not None else ""
