"""From a plan and records to rows of text: Markdown, CSV, and the terminal."""

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.errors import UserError
from benchmarks.records import Evaluation, Record
from benchmarks.tables.plan import Plan, PlannedRun, fingerprint_of, key_of
from benchmarks.tables.spec import Column, Row, load_published
from benchmarks.tables.statistics import CellStatistics, summarize

__all__ = ["Rendered", "render", "to_csv", "to_markdown", "to_terminal"]

SELECTIONS = {
    "none": "Selection: none; the last checkpoint of each run is scored.",
    "validation": "Selection: the snapshot that is best on validation images, by `{}`.",
    "test_as_in_paper": (
        "Selection: the snapshot that is best on the very test images that are reported, as in "
        "the paper."
    ),
}
BOUNDS = ("elbo", "iwae")
Records = Mapping[tuple[str, str, str], Record]


@dataclass(frozen=True)
class Rendered:
    """A table as text.

    Attributes:
        title: Heading.
        header: Column heads.
        lines: Cells, one tuple per row.
        notes: Lines below it.
    """

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def render(plan: Plan, records: Records) -> Rendered:
    """Join plan and records.

    Raises:
        UserError: if a column would mix evaluations of several fingerprints, or p(x), p(x | y)
            and densities of dequantised data.
    """
    spec = plan.spec
    for column in spec.columns:
        _check_kinds(plan, column, records)
    header = ["method"]
    for column in spec.columns:
        header.append(f"{column.label} {'↓' if column.better == 'lower' else '↑'}")
        if column.published is not None:
            header.append("published")
    header += ["n", "failures", "images seen", "seconds"]
    lines = tuple(_line(plan, row, records) for row in spec.rows)
    return Rendered(spec.title, tuple(header), lines, tuple(_notes(plan, records)))


def cell_statistics(
    plan: Plan, row: Row, column: Column, records: Records
) -> CellStatistics | None:
    """Return a cell's statistics; None where the row is not for the column."""
    planned = [r for r in plan.cell(row, column) if column.protocol in r.protocols]
    if not planned:
        return None
    values: list[float | None] = []
    missing = 0
    for run in planned:
        record = records.get(key_of(run))
        if record is None or record.status == "interrupted":
            missing += 1
        elif record.status == "finished" and _evaluation(run, column, record) is None:
            missing += 1  # trained, not scored yet
        else:
            values.append(_value(run, column, record))
    return summarize(values, missing)


def _value(run: PlannedRun, column: Column, record: Record) -> float | None:
    found = _evaluation(run, column, record)
    return None if found is None else found.metrics.get(column.metric)


def _evaluation(run: PlannedRun, column: Column, record: Record) -> Evaluation | None:
    wanted = fingerprint_of(column.protocol)
    found = run.shown(record, column)
    others = {e.fingerprint for e in record.evaluations if e.protocol == column.protocol}
    others -= {wanted}
    if found is None and others and record.status == "finished":
        raise UserError(
            f"column {column.label!r} mixes protocols named {column.protocol}: "
            f"{wanted[:12]} wanted, {', '.join(sorted(o[:12] for o in others))} in the record of "
            f"{run.label} (evaluate the run again)"
        )
    return found


def _check_kinds(plan: Plan, column: Column, records: Records) -> None:
    kinds: dict[str, str] = {}
    for run in plan.runs:
        record = records.get(key_of(run))
        if record is None or run.dataset != column.dataset or column.protocol not in run.protocols:
            continue
        found = _evaluation(run, column, record)
        if found is not None:
            given, density = found.attributes.get("given"), found.attributes.get("of")
            kinds[f"{density or 'p(x)'}{f' given {given}' if given else ''}"] = run.row.label
    if len(kinds) > 1:
        what = ", ".join(f"{kind} ({label})" for kind, label in sorted(kinds.items()))
        raise UserError(f"column {column.label!r} mixes {what}; give each a column of its own")


def _line(plan: Plan, row: Row, records: Records) -> tuple[str, ...]:
    cells = [row.label]
    used: list[CellStatistics] = []
    for column in plan.spec.columns:
        found = cell_statistics(plan, row, column, records)
        sign = _sign(plan, row, column, records)
        cells.append("–" if found is None else f"{sign}{found.text(column.digits)}")
        if found is not None:
            used.append(found)
        if column.published is not None:
            cells.append(_published(row, column))
    own = [records[key_of(r)] for r in plan.runs if r.row == row and key_of(r) in records]
    cells.append(str(max(c.n for c in used)) if used else "–")
    cells.append(str(max(c.failures for c in used)) if used else "–")
    cells += [_mean_of(own, _images_seen), _mean_of(own, _seconds)]
    return tuple(cells)


def _sign(plan: Plan, row: Row, column: Column, records: Records) -> str:
    """Return "≤ " or "≥ " for a cell of bounds: at most, at least."""
    for run in plan.cell(row, column):
        record = records.get(key_of(run))
        found = record and column.protocol in run.protocols and _evaluation(run, column, record)
        if found and found.attributes.get("likelihood") in BOUNDS and _is_bounded(column.metric):
            return "≤ " if column.better == "lower" else "≥ "
    return ""


def _is_bounded(metric: str) -> bool:
    known = metric in ("nll_nats", "bits_per_dim", "elbo_nats")
    return known or metric.startswith("iwae_bound_")


def _images_seen(record: Record) -> float | None:
    return record.counters.get("images_seen")


def _seconds(record: Record) -> float | None:
    return record.cost.get("seconds")


def _mean_of(records: Sequence[Record], quantity: Any) -> str:
    values = [v for v in map(quantity, records) if v is not None]
    return f"{statistics.fmean(values):,.0f}" if values else "–"


def _published(row: Row, column: Column) -> str:
    assert column.published is not None
    if row.published is None:
        return "–"
    source = load_published()[column.published.source_id]
    entry = source["rows"].get(row.published, {}).get(column.published.column)
    if entry is None:
        return "–"
    marks = ("*" if entry["mark"] == "M" else "") + (
        "†" if column.published.not_comparable else ""
    )
    spread = f" ± {entry['spread']}" if "spread" in entry else ""
    sign = f"{entry['sign']} " if "sign" in entry else ""
    return f"{sign}{entry['value']}{spread}{marks}"


def _notes(plan: Plan, records: Records) -> list[str]:
    notes = [plan.spec.note] if plan.spec.note else []
    if any(row.experiment for row in plan.spec.rows):
        notes.append(SELECTIONS[plan.spec.selection].format(plan.spec.selected_by))
    notes += _published_notes(plan)
    for column in plan.spec.columns:
        mark = fingerprint_of(column.protocol)[:12]
        kinds = _extractor(plan, column, records) + _attributes(plan, column, records)
        notes.append(
            f"{column.label}: `{column.metric}` of protocol `{column.protocol}` "
            f"({mark}) on `{column.dataset}`{kinds}."
        )
    notes += [f"{row.label}: {row.note}" for row in plan.spec.rows if row.note]
    for row in plan.spec.rows:
        notes += _row_notes(plan, row, records)
    devices = sorted({_device(r) for r in records.values() if r.cost})
    if devices:
        notes.append(f"Seconds are training time per run, on: {'; '.join(devices)}.")
    return notes


def _device(record: Record) -> str:
    cost = record.cost
    return f"{cost['device']}, {cost['processes']} process(es) of {cost['threads']} thread(s)"


def _extractor(plan: Plan, column: Column, records: Records) -> str:
    """Return a column's extractor and its version.

    Raises:
        UserError: if its scores were taken with several.
    """
    found: set[str] = set()
    for run in plan.runs:
        record = records.get(key_of(run))
        if record is None or run.dataset != column.dataset or column.protocol not in run.protocols:
            continue
        evaluation = _evaluation(run, column, record)
        if evaluation is not None and "extractor" in evaluation.attributes:
            found.add(evaluation.attributes["extractor"])
    if len(found) > 1:
        names = ", ".join(sorted(found))
        raise UserError(f"column {column.label!r} mixes extractors: {names} (evaluate again)")
    return f", extractor {found.pop()}" if found else ""


def _attributes(plan: Plan, column: Column, records: Records) -> str:
    found = set()
    for run in plan.runs:
        record = records.get(key_of(run))
        if record is None or column.protocol not in run.protocols or run.dataset != column.dataset:
            continue
        evaluation = _evaluation(run, column, record)
        if evaluation is None:
            continue
        pairs = sorted((k, v) for k, v in evaluation.attributes.items() if k != "extractor")
        if evaluation.weights != "raw":
            pairs.append(("weights", evaluation.weights))
        if pairs:
            found.add(f"{run.row.label}: " + ", ".join(f"{k} {v}" for k, v in pairs))
    return f" ({'; '.join(sorted(found))})" if found else ""


def _published_notes(plan: Plan) -> list[str]:
    notes = []
    for published in [c.published for c in plan.spec.columns if c.published is not None]:
        source = load_published()[published.source_id]
        notes.append(
            f"Published: {source['citation']}; {source['metric']}; ±: {source['spread']}. "
            f"Source: {source['note']}."
        )
        if published.not_comparable:
            notes.append(f"† not comparable: {published.not_comparable}.")
        if any(r.get(published.column, {}).get("mark") == "M" for r in source["rows"].values()):
            notes.append("* quoted from memory, not checked against the paper.")
    return list(dict.fromkeys(notes))


def _row_notes(plan: Plan, row: Row, records: Records) -> list[str]:
    """Return the deviations of a row, and why runs of it failed."""
    notes = []
    own = [r for r in plan.runs if r.row == row and key_of(r) in records]
    deviations = list(dict.fromkeys(d for r in own for d in records[key_of(r)].deviations))
    if deviations:
        notes.append(f"{row.label} deviates from the paper: {'; '.join(deviations)}.")
    for run in own:
        record = records[key_of(run)]
        if record.status != "finished":
            notes.append(f"{run.label}: {record.status}: {record.reason}.")
    return notes


def to_markdown(table: Rendered) -> str:
    """Return the table as Markdown, notes below."""
    rows = [table.header, tuple("---" for _ in table.header), *table.lines]
    body = "\n".join("| " + " | ".join(_escape(c) for c in row) + " |" for row in rows)
    notes = "\n".join(f"- {note}" for note in table.notes)
    return f"**{table.title}**\n\n{body}\n\n{notes}\n"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def to_csv(table: Rendered) -> str:
    """Return header and rows as CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([table.header, *table.lines])
    return out.getvalue()


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
