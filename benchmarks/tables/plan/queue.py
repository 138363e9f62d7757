"""In which order the missing runs of tables are worth spare hours: the cheapest verdict first."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from benchmarks.tables.plan.estimate import Rates, device_hours
from benchmarks.tables.plan.planned_run import PlannedRun

__all__ = ["QueuedRun", "in_order"]

SHORT_HOURS = 2.0  # runs that end within them come before longer ones of the same worth


@dataclass(frozen=True)
class QueuedRun:
    """A missing run.

    Attributes:
        planned: The run.
        judges: Whether its score would stand beside a published one that it can be compared with.
        hours: Device-hours that are left of it; None where no run of its kind was measured.
        hours_of_cell: Those of all missing runs of its row and data set, which a verdict takes.
    """

    planned: PlannedRun
    judges: bool
    hours: float | None
    hours_of_cell: float | None

    @property
    def text(self) -> str:
        """The run and its cost in one line."""
        cost = "cost unknown" if self.hours is None else f"{self.hours:.2f} device-hours"
        purpose = "for a verdict" if self.judges else "beside no published number"
        return f"{self.planned.table}: {self.planned.label}, {cost}, {purpose}"


def in_order(
    missing: Sequence[PlannedRun], judging: Collection[PlannedRun], rates: Rates
) -> list[QueuedRun]:
    """Return missing runs of tables, each once, in the order in which they are worth most.

    Those that a verdict waits for come first; of these the short ones; of these the runs of the
    cell that is done soonest, by seed. Where no run of a kind was measured, it comes after those
    whose cost is known.

    Args:
        missing: The runs, of any tables.
        judging: Those of them whose scores would be judged.
        rates: Device-seconds per image by experiment and data set.
    """
    left = {run: _hours(run, rates) for run in missing}
    cells: dict[tuple[str, str, str], list[float | None]] = {}
    for run in missing:
        cells.setdefault(_cell(run), []).append(left[run])
    found: dict[tuple[str, str, str], QueuedRun] = {}
    for run in missing:
        queued = QueuedRun(run, run in judging, left[run], _sum(cells[_cell(run)]))
        known = found.setdefault(run.key, queued)
        if queued.judges and not known.judges:  # a run of two tables
            found[run.key] = queued
    return sorted(found.values(), key=_place)


def _place(queued: QueuedRun) -> tuple[bool, bool, bool, float, str, str, int]:
    hours = queued.hours
    return (
        not queued.judges,
        hours is None,
        hours is not None and hours > SHORT_HOURS,
        queued.hours_of_cell or 0.0,
        queued.planned.row.label,
        queued.planned.dataset,
        queued.planned.seed,
    )


def _cell(run: PlannedRun) -> tuple[str, str, str]:
    return run.table, run.row.label, run.dataset


def _hours(run: PlannedRun, rates: Rates) -> float | None:
    """Return the device-hours that are left of a run; images that exist cost no training.

    Where its experiment was measured on other data only, the dearest of these stands for it.
    """
    hours = device_hours(run, rates)
    others = [rate for (experiment, _), rate in rates.items() if experiment == run.experiment]
    if hours is None and others:
        hours = device_hours(run, {(run.experiment, run.dataset): max(others)})
    return None if hours is None else hours * (1 - run.run.progress()[0])


def _sum(hours: Sequence[float | None]) -> float | None:
    known = [h for h in hours if h is not None]
    return sum(known) if len(known) == len(hours) else None
