"""Which of a table's runs are meant."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from benchmarks.errors import UserError, suggest
from benchmarks.tables.planned import ENDED_WITHOUT, PlannedRun
from benchmarks.tables.spec import TableSpec

__all__ = ["Choice"]


@dataclass(frozen=True)
class Choice:
    """Which of a table's runs are meant.

    Attributes:
        seeds: Number of seeds; None for the specification's.
        configurations: Of each phase of a search; None for the specification's.
        rows: Labels or experiments; empty for all.
        columns: Labels or data sets; empty for all.
        retry: Kinds of end that are done again (`planned.ENDED_WITHOUT`).
        published: Count published records as done, too.
    """

    seeds: int | None = None
    configurations: int | None = None
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    retry: Collection[str] = ()
    published: bool = False

    def check(self, spec: TableSpec) -> None:
        """Compare names with a table's.

        Raises:
            UserError: for one that it does not have, with the nearest.
        """
        rows = {row.label for row in spec.rows} | {
            row.experiment or row.label for row in spec.rows
        }
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

    def holds(self, run: PlannedRun, spec: TableSpec) -> bool:
        """Return whether a run is of these rows and columns."""
        if self.rows and not {run.row.label, run.row.experiment} & set(self.rows):
            return False
        labels = {c.label for c in spec.columns if c.dataset == run.dataset}
        return not self.columns or bool({run.dataset, *labels} & set(self.columns))
