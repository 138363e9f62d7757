"""Who does the runs of a table, as the table sees it; `benchmarks.execution` implements it."""

from collections.abc import Collection, Sequence
from typing import Protocol

from benchmarks.tables.plan.estimate import Rates
from benchmarks.tables.plan.plan import Plan
from benchmarks.tables.plan.planned_run import Key, PlannedRun

__all__ = ["Executor"]


class Executor(Protocol):
    """Does the runs of a table, or sees to it that they are done."""

    def prepare(self, plan: Plan, published: bool) -> None:
        """Bring records up to date with what became of runs, before it is looked what is done."""

    def describe(self, missing: Sequence[PlannedRun]) -> Sequence[str]:
        """Return what a dry run says of missing runs."""

    def run(self, ready: Sequence[PlannedRun], rates: Rates) -> list[str]:
        """Do runs, or hand them on; return a line for each that has left no result.

        Args:
            ready: Runs that this machine has everything for.
            rates: What runs of their kinds have cost before, for the time left.
        """

    def at_work(self) -> Collection[Key]:
        """Return the runs that go on after this command, which tables need not explain."""

    def closing(self) -> Sequence[str]:
        """Return what is said last."""
