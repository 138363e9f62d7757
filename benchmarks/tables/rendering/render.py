"""From numbers to rows of text, with the notes that belong below."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.tables.analysis.agreement import PublishedValue
from benchmarks.tables.analysis.cells import Cell, Records, Table, join
from benchmarks.tables.plan.plan import Plan
from benchmarks.tables.rendering.notes import notes_of
from benchmarks.tables.spec import Column, Row

__all__ = ["Rendered", "render"]


@dataclass(frozen=True)
class Rendered:
    """A table as text.

    Attributes:
        title: Heading.
        header: Column heads.
        lines: Cells, one tuple per row.
        notes: Lines below it.
        best: Positions (line, cell) of the best of each column, and of what cannot be told from
            it.
    """

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    best: frozenset[tuple[int, int]] = frozenset()


def render(plan: Plan, records: Records) -> Rendered:
    """Join plan and records, and lay them out.

    Raises:
        UserError: if a column would mix evaluations of several fingerprints or kinds.
    """
    return rendered(join(plan, records))


def rendered(table: Table) -> Rendered:
    """Lay a joined table out."""
    spec = table.plan.spec
    header, columns = ["method"], dict[str, int]()
    for column in spec.columns:
        columns[column.label] = len(header)
        header.append(f"{column.label} {'↓' if column.better == 'lower' else '↑'}")
        if column.published is not None:
            header.append("published")
    header += ["n", "failures", "images seen", "device-hours", "images/s", "memory (GB)"]
    lines = tuple(_line(table, row) for row in spec.rows)
    rows = {row.label: i for i, row in enumerate(spec.rows)}
    best = {
        (rows[label], columns[name])
        for name, found in table.comparisons.items()
        for label in found.not_told_apart
    }
    return Rendered(spec.title, tuple(header), lines, tuple(notes_of(table)), frozenset(best))


def _line(table: Table, row: Row) -> tuple[str, ...]:
    used = [
        cell
        for column in table.plan.spec.columns
        if (cell := table.cells.get((row.label, column.label))) is not None
        and (row.experiment or row.images)
    ]
    ours = [cell.statistics for cell in used]
    most = max((s.n for s in ours), default=0)
    cells = [row.label]
    for column in table.plan.spec.columns:
        cell = table.cells.get((row.label, column.label))
        cells.append(_score(cell, column.digits, most))
        if column.published is not None:
            cells.append(_published(cell.published if cell else None, column))
    cells += [_span([s.n for s in ours]), _span([s.failures for s in ours])]
    return (*cells, *_costs(table, row))


def _span(counts: Sequence[int]) -> str:
    """Return a count, or the least and the most of several."""
    if not counts:
        return "–"
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low}–{high}"


def _costs(table: Table, row: Row) -> list[str]:
    """Return the costs of a row, by data set where they differ."""
    datasets = dict.fromkeys(c.dataset for c in table.plan.spec.columns)
    costs = [c for d in datasets if (c := table.costs.get((row.label, d))) is not None]

    def shown(values: Sequence[float | None], layout: str) -> str:
        return " / ".join(dict.fromkeys(_number(v, layout) for v in values)) or "–"

    memory = [None if (m := c.peak_memory_bytes) is None else m / 1e9 for c in costs]
    return [
        shown([c.images_seen for c in costs], "{:,.0f}"),
        shown([c.device_hours for c in costs], "{:.3f}"),
        shown([c.images_per_second for c in costs], "{:,.0f}"),
        shown(memory, "{:.1f}"),
    ]


def _number(value: float | None, layout: str) -> str:
    return "–" if value is None else layout.format(value)


def _score(cell: Cell | None, digits: int, most: int) -> str:
    """Return a cell's mean and deviation; its own n where others of the row have more."""
    if cell is None:
        return "–"
    ours = cell.statistics
    text = ours.text(digits)
    text = f"{cell.sign} {text}" if cell.sign and ours.n else text
    remarks = [f"n = {ours.n}"] if 0 < ours.n < most else []
    remarks += [f"{ours.failures} failed"] if ours.failures and ours.n else []
    return f"{text} ({', '.join(remarks)})" if remarks else text


def _published(found: PublishedValue | None, column: Column) -> str:
    if found is None or column.published is None:
        return "–"
    marks = ("" if found.is_checked else "*") + ("†" if column.published.not_comparable else "")
    spread = f" ± {found.spread}" if found.spread is not None else ""
    return f"{found.sign + ' ' if found.sign else ''}{found.value}{spread}{marks}"
