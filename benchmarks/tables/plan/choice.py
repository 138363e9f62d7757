"""Which of a table's runs are meant."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from benchmarks.config.catalogue import flat
from benchmarks.core.errors import UserError, suggest
from benchmarks.tables.plan.plan import Plan, make_plan
from benchmarks.tables.plan.planned_run import ENDED_WITHOUT, PlannedRun
from benchmarks.tables.spec import Row, TableSpec

__all__ = ["Choice"]


@dataclass(frozen=True)
class Choice:
    """Which of a table's runs are meant.

    Attributes:
        seeds: Number of seeds; None for the specification's.
        configurations: The number of configurations of each phase of a search; None for the
            specification's.
        rows: Labels or experiments; empty for all.
        columns: Labels or data sets; empty for all.
        retry: Kinds of end that are done again (`planned_run.ENDED_WITHOUT`).
        published: Count published records as done, too.
    """

    seeds: int | None = None
    configurations: int | None = None
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    retry: Collection[str] = ()
    published: bool = False

    def plan(self, spec: TableSpec) -> Plan:
        """Return the table's plan, of all rows and columns: a search looks at all its runs.

        Raises:
            UserError: for a name that the table does not have, with the nearest.
        """
        rows = {name for row in spec.rows for name in _names_of(row)}
        columns = {c.label for c in spec.columns} | {c.dataset for c in spec.columns}
        for kind, asked, known in (("rows", self.rows, rows), ("columns", self.columns, columns)):
            for name in asked:
                if name not in known:
                    raise UserError(
                        f"{kind} must be of table {spec.name}, got {name!r}{suggest(name, known)}"
                    )
        for kind in self.retry:
            if kind not in ENDED_WITHOUT:
                raise UserError(f"retry must be of {', '.join(ENDED_WITHOUT)}, got {kind!r}")
        return make_plan(spec, self.seeds, self.configurations)

    def runs(self, plan: Plan) -> list[PlannedRun]:
        """Return those of a plan's runs that are of these rows and columns."""
        datasets = self.datasets(plan.spec)
        return [r for r in plan.all_runs if self.has_row(r.row) and r.dataset in datasets]

    def has_row(self, row: Row) -> bool:
        """Return whether a row is meant."""
        return not self.rows or bool(_names_of(row) & set(self.rows))

    def datasets(self, spec: TableSpec) -> list[str]:
        """Return the data sets that are meant, in a table's order."""
        chosen = (c for c in spec.columns if {c.dataset, c.label} & set(self.columns))
        return list(dict.fromkeys(c.dataset for c in (chosen if self.columns else spec.columns)))


def _names_of(row: Row) -> set[str]:
    """Return what a row may be called: its label, or its experiment by either name."""
    if row.experiment is None:
        return {row.label}
    return {row.label, row.experiment, flat(row.experiment)}
