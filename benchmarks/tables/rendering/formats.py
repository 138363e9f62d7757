"""A laid-out table as Markdown, CSV, LaTeX and text; a joined one as JSON."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.tables.analysis.cells import Cell, Table
from benchmarks.tables.analysis.statistics import BOOTSTRAP_COVERAGE
from benchmarks.tables.rendering.render import Rendered

__all__ = ["legend", "to_csv", "to_json", "to_latex", "to_markdown", "to_terminal"]

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "≈": r"$\approx$",
    "†": r"$^\dagger$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "–": "--",
}


def to_markdown(table: Rendered) -> str:
    """Return the table as Markdown, notes below; bold: the best and what is not told from it."""
    lines = [
        tuple(
            f"**{_escape(cell)}**" if (i, j) in table.best else _escape(cell)
            for j, cell in enumerate(line)
        )
        for i, line in enumerate(table.lines)
    ]
    rows = [tuple(map(_escape, table.header)), tuple("---" for _ in table.header), *lines]
    body = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    notes = [*legend(table), *table.notes]
    return f"**{table.title}**\n\n{body}\n\n" + "\n".join(f"- {note}" for note in notes) + "\n"


def legend(table: Rendered) -> list[str]:
    """Return what bold means, where something is bold."""
    if not table.best:
        return []
    return ["Bold: the best mean of a column, and every row that cannot be told from it."]


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def to_csv(table: Rendered) -> str:
    """Return header and rows as CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([table.header, *table.lines])
    return out.getvalue()


def to_latex(table: Rendered) -> str:
    """Return a table environment for the package booktabs, notes as comments."""

    def cell(i: int, j: int, text: str) -> str:
        escaped = _latex(text)
        return rf"\textbf{{{escaped}}}" if (i, j) in table.best else escaped

    header = " & ".join(map(_latex, table.header)) + r" \\"
    body = [
        " & ".join(cell(i, j, text) for j, text in enumerate(line)) + r" \\"
        for i, line in enumerate(table.lines)
    ]
    notes = [f"% {' '.join(note.split())}" for note in table.notes]
    alignment = "l" + "r" * (len(table.header) - 1)
    lines = [
        *notes,
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_latex(table.title)}}}",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        header,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)


def to_json(table: Table) -> str:
    """Return every number of the table, nothing rounded."""
    spec = table.plan.spec
    cells = [
        {"row": row, "column": column, **_cell(cell)}
        for (row, column), cell in table.cells.items()
    ]
    searches = [
        {
            "row": row,
            "dataset": dataset,
            "scores": found.scores,
            "total": found.total,
            "best": None if found.best is None else dict(found.best.values),
            "device_hours": found.device_hours,
            "curves": {p: [asdict(point) for point in c] for p, c in found.curves.items()},
            "curves_with_replacement": {
                p: [asdict(point) for point in c] for p, c in found.biased.items()
            },
        }
        for (row, dataset), found in table.searches.items()
    ]
    values = {
        "table": spec.name,
        "title": spec.title,
        "note": spec.note,
        "selection": spec.selection,
        "columns": [asdict(column) for column in spec.columns],
        "cells": cells,
        "comparisons": {k: asdict(v) for k, v in table.comparisons.items()},
        "costs": [
            {"row": row, "dataset": dataset, **asdict(cost)}
            for (row, dataset), cost in table.costs.items()
        ],
        "bootstrap_coverage": BOOTSTRAP_COVERAGE,
        "searches": searches,
    }
    return json.dumps(_finite(values), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _cell(cell: Cell) -> dict[str, Any]:
    ours = cell.statistics
    return {
        "n": ours.n,
        "failures": ours.failures,
        "missing": ours.missing,
        "by_seed": {str(seed): value for seed, value in cell.by_seed.items()},
        "sign": cell.sign,
        "mean": ours.mean,
        "std": ours.std,
        "interval": ours.interval,
        "median": ours.median,
        "median_interval": ours.median_interval,
        "iqm": ours.iqm,
        "iqm_interval": ours.iqm_interval,
        "published": None if cell.published is None else asdict(cell.published),
        "agreement": None if cell.agreement is None else asdict(cell.agreement),
        "seeds_needed": cell.seeds_needed,
        "variance": None if cell.variance is None else asdict(cell.variance),
    }


def _finite(value: Any) -> Any:
    """Replace infinite numbers by texts, which JSON has."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), -float("inf"))):
        return str(value)
    return value


def to_terminal(table: Rendered) -> str:
    """Return the table with aligned columns."""
    rows = [table.header, *table.lines]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.header))]

    def line(row: Sequence[str]) -> str:
        first = row[0].ljust(widths[0])
        return "  ".join([first, *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    notes = [f"  {note}" for note in table.notes]
    return "\n".join([table.title, "", line(rows[0]), rule, *map(line, rows[1:]), "", *notes])
