"""`dgmbench queue`: missing runs of tables, one after the other, for so many hours."""

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.core.errors import UserError
from benchmarks.core.paths import check_writable, outputs_dir
from benchmarks.execution.local import run_all
from benchmarks.runs.folder import Run
from benchmarks.tables.plan.estimate import device_hours, known_rates, measured_rates
from benchmarks.tables.plan.plan import Plan, make_plan
from benchmarks.tables.plan.planned_run import PlannedRun, with_what_they_need
from benchmarks.tables.plan.queue import QueuedRun, in_order
from benchmarks.tables.plan.rates import keep_rates
from benchmarks.tables.plan.scale import published_scale
from benchmarks.tables.spec import load_spec

__all__ = ["measure", "run_queue"]

LOWEST_PRIORITY = 19
LEAST_FREE_BYTES = 10**9  # on the disk, before each run


def run_queue(tables: Sequence[str], hours: float, partial: bool, dry_run: bool = False) -> int:
    """Do what tables lack, the cheapest verdict first, until the hours are over.

    One run at a time, at the machine's lowest priority. What is at work when the hours are over
    keeps its checkpoint, and goes on with the same command.

    Args:
        tables: The names of tables.
        hours: For how long.
        partial: Whether to begin runs that are known to need more than the time left.
        dry_run: Print the order and the cost only.

    Returns:
        0, or 1 where a run left no result.

    Raises:
        UserError: if hours is not positive, the disk is full, or no run fits the hours.
    """
    if not 0 < hours < float("inf"):
        raise UserError(f"hours must be > 0, got {hours:g}")
    queued = _missing(tables)
    if dry_run or not queued:
        print("\n".join([q.text for q in queued] or ["nothing is missing"]))
        return 0
    check_writable(outputs_dir())
    _check_fits(queued, hours, partial)
    os.nice(LOWEST_PRIORITY)
    done, failed = _work_until(time.monotonic() + hours * 3600, queued, partial)
    print(f"{done} of {len(queued)} runs were worked on; the same command goes on with the rest")
    for line in failed:
        print(f"dgmbench: {line}")
    return 1 if failed else 0


def measure(tables: Sequence[str], seconds: float) -> int:
    """Begin a missing run of each kind whose cost is not known, and keep what it costs.

    Each is trained for so many seconds after its first images; it keeps its checkpoint, and goes
    on when it is run. The rates are kept in results/.

    Args:
        tables: The names of tables.
        seconds: Of training.

    Returns:
        0, or 1 where a run could not be begun.

    Raises:
        UserError: if seconds is not positive, or the disk is full.
    """
    if not 0 < seconds < float("inf"):
        raise UserError(f"measure must be > 0 seconds, got {seconds:g}")
    kinds = {(q.planned.experiment, q.planned.dataset): q for q in _missing(tables)[::-1]}
    unknown = [q.planned for q in kinds.values() if q.hours is None][::-1]
    check_writable(outputs_dir())
    path, failed = None, 0
    for planned in unknown:
        _check_room(outputs_dir())
        run_all([planned], [], 1, is_over=_Measured(planned.run, seconds))
        record = planned.run.record()
        found = [record] if record is not None else []
        path, cost = keep_rates(found), measured_rates(found)
        failed += not cost
        hours = device_hours(planned, cost)
        told = "no image was trained on" if hours is None else f"{hours:.2f} device-hours"
        print(f"{planned.label}: {told}", flush=True)
    print(f"kept in {path}" if path else "the cost of every missing run is known")
    return 1 if failed else 0


class _Measured:
    """Says whether a run's first images are through, and so many seconds have passed since.

    Args:
        run: The run.
        seconds: After its first images.
    """

    def __init__(self, run: Run, seconds: float) -> None:
        self.run, self.seconds = run, seconds
        self.began: float | None = None

    def __call__(self) -> bool:
        if self.began is None and self.run.progress()[0] > 0:
            self.began = time.monotonic()
        return self.began is not None and time.monotonic() - self.began >= self.seconds


def _work_until(until: float, queued: Sequence[QueuedRun], partial: bool) -> tuple[int, list[str]]:
    """Do runs in order until a time of the monotonic clock.

    Returns:
        The number of runs that were worked on, and a line for each that left no result.
    """
    waiting, done, failed = list(queued), 0, list[str]()
    while (left := (until - time.monotonic()) / 3600) > 0:
        chosen = next((q for q in waiting if partial or q.hours is None or q.hours <= left), None)
        if chosen is None:
            break
        waiting.remove(chosen)
        owner = chosen.planned.run.owner()
        if owner is not None and owner.is_dead_here() is not True:
            print(f"{chosen.planned.label} is at work elsewhere: {owner}")
            continue
        _check_room(outputs_dir())
        print(f"next: {chosen.text}; {left:.2f} hours left", flush=True)
        failed += run_all([chosen.planned], [], 1, is_over=lambda: time.monotonic() >= until)
        done += 1
    return done, failed


def _missing(tables: Sequence[str]) -> list[QueuedRun]:
    """Return the runs that tables lack and this machine has everything for, in order."""
    missing: list[PlannedRun] = []
    judging: set[PlannedRun] = set()
    rates: dict[tuple[str, str], float] = {}
    for name in tables:
        spec = load_spec(name)
        plan, records = make_plan(spec, *published_scale(spec.name)).complete(published=True)
        own = [r for r in plan.all_runs if not r.is_done(records.get(r.key))]
        rates |= known_rates(own, records)
        judging |= {run for run in own if _is_judged(plan, run)}
        missing += own
    return in_order(with_what_they_need(missing), judging, rates)


def _is_judged(plan: Plan, run: PlannedRun) -> bool:
    """Return whether a run's score would be compared with a published one."""
    return any(
        column.published is not None and not column.published.differs
        for column in plan.spec.columns
        if column.dataset == run.dataset and column.protocol in run.protocols
        if run.row.published is not None
    )


def _check_fits(queued: Sequence[QueuedRun], hours: float, partial: bool) -> None:
    shortest = min(queued, key=lambda q: q.hours or 0.0)  # of unknown length: it may fit
    if not partial and shortest.hours is not None and shortest.hours > hours:
        raise UserError(
            f"hours must be >= {shortest.hours:.2f}, of the shortest missing run "
            f"({shortest.planned.label}), got {hours:g}; --partial begins what goes on later"
        )


def _check_room(folder: Path) -> None:
    """Refuse to begin a run where its checkpoints would not fit.

    Raises:
        UserError: naming the folder and what is free.
    """
    free = shutil.disk_usage(folder if folder.exists() else Path()).free
    if free < LEAST_FREE_BYTES:
        raise UserError(
            f"{folder} must have at least {LEAST_FREE_BYTES / 1e9:.0f} GB free for a run, "
            f"got {free / 1e9:.2f} GB (`dgmbench prune` shows what may go)"
        )
