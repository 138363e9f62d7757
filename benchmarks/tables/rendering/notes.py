"""What belongs below a table: protocols, statistics, agreement, deviations, failures."""

from collections.abc import Sequence

from benchmarks.core.errors import UserError
from benchmarks.runs.record import Record
from benchmarks.tables.analysis.agreement import Agreement
from benchmarks.tables.analysis.cells import Cell, Records, SearchResult, Table, evaluations
from benchmarks.tables.analysis.comparison import Comparison, Comparisons
from benchmarks.tables.analysis.search_curve import BudgetPoint
from benchmarks.tables.margins import margin_of
from benchmarks.tables.plan.plan import Plan
from benchmarks.tables.plan.planned_run import fingerprint_of
from benchmarks.tables.spec import Column, Row, load_published

__all__ = ["notes_of"]

SELECTIONS = {
    "none": "Selection: none; the last checkpoint of each run is scored.",
    "validation": "Selection: the snapshot that is best on validation images, by `{}`.",
    "test_as_in_paper": (
        "Selection: the snapshot that is best on the very test images that are reported, as in "
        "the paper."
    ),
}


def notes_of(table: Table) -> list[str]:
    """Return the notes, one line each.

    Raises:
        UserError: if a column's scores were taken with several extractors.
    """
    plan, records = table.plan, table.records
    spec = plan.spec
    notes = [spec.note] if spec.note else []
    if any(row.experiment for row in spec.rows):
        notes.append(SELECTIONS[spec.selection].format(spec.selected_by))
    if any(cell.statistics.n > 1 for cell in table.cells.values()):
        notes.append(
            "±: standard deviation over training seeds (n - 1); intervals of the mean, and every "
            "seed's value, are in table.json and the figures."
        )
    if any(cell.statistics.n > 1 for cell in _cells_of_images(table)):
        notes.append("±, of images that exist already: over evaluation draws.")
    notes += _search_notes(table)
    notes += _published_notes(plan)
    for column in spec.columns:
        mark = fingerprint_of(column.protocol)[:12]
        kinds = _extractor(plan, column, records) + _attributes(plan, column, records)
        notes.append(
            f"{column.label}: `{column.metric}` of protocol `{column.protocol}` "
            f"({mark}) on `{column.dataset}`{kinds}."
        )
    for column in spec.columns:
        if column.label in table.comparisons:
            notes.append(_comparison_note(table, column, table.comparisons[column.label]))
    notes += _variance_notes(table)
    for column in spec.columns:
        notes += _agreement_note(table, column)
    notes += _rules_note(table)
    notes += [f"{row.label}: {row.note}" for row in spec.rows if row.note]
    for row in spec.rows:
        notes += _row_notes(plan, row, records)
    devices = sorted({_device(r) for r in records.values() if r.cost})
    if devices:
        by = ", by data set in the order of the columns where they differ"
        several = len({c.dataset for c in spec.columns}) > 1
        notes.append(
            f"Costs are of training, means per finished run{by if several else ''}, on: "
            f"{'; '.join(devices)}."
        )
    return notes


def _device(record: Record) -> str:
    cost = record.cost
    device, processes, threads = map(cost.get, ("device", "processes", "threads"))
    return f"{device}, {processes} process(es) of {threads} thread(s)"


def _search_notes(table: Table) -> list[str]:
    search = table.plan.spec.search
    if search is None:
        return []
    counts = ", ".join(f"{count} {phase}" for phase, count in search.phases.items())
    begins = " and of ".join(filter(search.begins_with_defaults, search.phases))
    first = f", the first of {begins} the experiment's own values" if begins else ""
    where = f"`{search.selected_by}`" if search.selected_by else "the test images reported"
    notes = [
        f"Search: {counts} configurations of one seed{first}, drawn by seed {search.seed}; the "
        f"best on {where} is repeated over new seeds, and those are shown."
    ]
    for (label, dataset), found in table.searches.items():
        notes.append(_search_note(label, dataset, found))
    return notes


def _search_note(label: str, dataset: str, found: SearchResult) -> str:
    failed = sum(s is None for s in found.scores)
    text = f"{label} on `{dataset}`: {len(found.scores)} of {found.total} configurations ended"
    text += f", {failed} failed" if failed else ""
    if found.best is None:
        return text + "."
    values = ", ".join(f"{key}={value}" for key, value in found.best.values) or "its own values"
    text += f"; best is {found.best.phase} {found.best.configuration} ({values})"
    text += f"; the search took {found.device_hours:.2f} device-hours"
    for phase, curve in found.curves.items():
        text += f"; {phase}: median (quartiles) of the best of k drawn without replacement: "
        text += _points(curve)
    for phase, curve in found.biased.items():
        text += f"; {phase}, with replacement, which is biased to the worse: {_points(curve)}"
    return text + "."


def _points(curve: Sequence[BudgetPoint]) -> str:
    return "; ".join(
        f"{p.k}: {p.median:.4g} ({p.lower:.4g}–{p.upper:.4g})"
        + (f", all fail with probability {p.all_failed:.2g}" if p.all_failed else "")
        for p in curve
    )


def _comparison_note(table: Table, column: Column, found: Comparisons) -> str:
    near = [c for c in found.others if c.p is not None and not c.is_told_apart]
    far = [c for c in found.others if c.is_told_apart]
    untested = [c for c in found.others if c.p is None]
    best = table.cells[found.best, column.label].statistics
    failed = f", {best.failures} failed" if best.failures else ""
    parts = [f"{column.label}: best mean {found.best} (n = {best.n}{failed})"]
    if near:
        parts.append("not told apart from it: " + ", ".join(map(_p_values, near)))
    if far:
        parts.append("told apart: " + ", ".join(map(_p_values, far)))
    if untested:
        parts.append("not tested: " + ", ".join(map(_p_values, untested)))
    floors = sorted({c.smallest_p for c in found.others if c.p is not None and c.smallest_p})
    text = "; ".join(parts)
    text += " (paired t by seed, Holm-corrected p; in brackets the exact sign-flip p"
    if floors:
        most = f" to {floors[-1]:.2g}, by the number of pairs" if len(floors) > 1 else ""
        text += f", which cannot go below {floors[0]:.2g}{most}"
    text += ")"
    if any(table.cells[c.label, column.label].sign for c in found.others) or (
        table.cells[found.best, column.label].sign
    ):
        text += "; bounds are compared as they stand, and may be better than shown"
    if found.resolved is not None:
        text += f"; differences below about {found.resolved:.2g} cannot be told"
    return text + "."


def _p_values(found: Comparison) -> str:
    dropped = f" ({found.dropped} seed(s) dropped)" if found.dropped else ""
    if found.p is None:
        return f"{found.label} with {found.n} pair(s){dropped}"
    flip = f" [{found.sign_flip_p:.2g}]" if found.sign_flip_p is not None else ""
    return f"{found.label} p = {found.p:.2g}{flip}{dropped}"


def _variance_notes(table: Table) -> list[str]:
    return [
        f"{label}, {column}: deviation over training seeds {found.seed_std:.3g}, over "
        f"{found.draws} evaluation draws of one model {found.draw_std:.3g}."
        for (label, column), cell in table.cells.items()
        if (found := cell.variance) is not None
    ]


def _agreement_note(table: Table, column: Column) -> list[str]:
    """Return the verdicts of a column in one line; those of like reasons together."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for row in table.plan.spec.rows:
        cell = table.cells.get((row.label, column.label))
        agreed = cell.agreement if cell else None
        if cell is not None and agreed is not None and agreed.difference is not None:
            found.setdefault((agreed.verdict, agreed.reasons), []).append(
                f"{row.label} {_difference(agreed, cell.seeds_needed)}"
            )
    if not found:
        return []
    parts = [
        f"{verdict}{' (' + ', '.join(reasons) + ')' if reasons else ''}: {', '.join(labels)}"
        for (verdict, reasons), labels in found.items()
    ]
    assert column.published is not None
    same = ""
    if "protocol" not in column.published.differs:
        margin = margin_of(column.metric)
        size = f"{margin.absolute:g}" if margin.absolute else f"{margin.relative:.0%}"
        same = f", the same within {size} ({margin.why})"
    return [f"{column.label}, ours minus published{same}: {'; '.join(parts)}."]


def _rules_note(table: Table) -> list[str]:
    if table.rules is None:
        return []
    judged = {
        run.key
        for run in table.plan.runs
        if run.row.published is not None and run.key in table.records
    }
    older = sum((table.records[key].started or "") < table.rules.since for key in judged)
    return [
        f"Verdicts follow rules, margins and published values `{table.rules.rules}`, which have "
        f"stood since {table.rules.since[:10]}; {older} of {len(judged)} runs that they judge "
        "were begun before."
    ]


def _difference(agreed: Agreement, needed: int | None) -> str:
    assert agreed.difference is not None
    text = f"{agreed.difference:+.3g}"
    if agreed.interval is not None:
        text += f" [{agreed.interval[0]:+.3g}, {agreed.interval[1]:+.3g}]"
    if agreed.in_spreads is not None:
        text += f" = {agreed.in_spreads:+.1f} {agreed.unit}"
    if agreed.verdict == "inconclusive":
        text += f", {needed} seeds would tell" if needed else ", no number of seeds would tell"
    return text


def _cells_of_images(table: Table) -> list[Cell]:
    labels = {row.label for row in table.plan.spec.rows if row.images is not None}
    return [cell for (label, _), cell in table.cells.items() if label in labels]


def _extractor(plan: Plan, column: Column, records: Records) -> str:
    """Return a column's extractor and its version.

    Raises:
        UserError: if its scores were taken with several.
    """
    found = {
        evaluation.attributes["extractor"]
        for _, evaluation in evaluations(plan, column, records)
        if "extractor" in evaluation.attributes
    }
    if len(found) > 1:
        names = ", ".join(sorted(found))
        raise UserError(f"column {column.label!r} mixes extractors: {names} (evaluate again)")
    return f", extractor {found.pop()}" if found else ""


def _attributes(plan: Plan, column: Column, records: Records) -> str:
    found = set()
    for label, evaluation in evaluations(plan, column, records):
        pairs = sorted((k, v) for k, v in evaluation.attributes.items() if k != "extractor")
        if evaluation.weights != "raw":
            pairs.append(("weights", evaluation.weights))
        if pairs:
            found.add(f"{label}: " + ", ".join(f"{k} {v}" for k, v in pairs))
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
    """Return the deviations of a row's runs that are shown, and why runs of it failed."""
    notes = []
    own = [r for r in plan.all_runs if r.row.label == row.label and r.key in records]
    keys = {r.key for r in plan.runs}  # one by one, ten thousand runs would take a minute
    shown = [r for r in own if r.key in keys]
    deviations = list(dict.fromkeys(d for r in shown for d in records[r.key].deviations))
    if deviations:
        notes.append(f"{row.label} deviates from the paper: {'; '.join(deviations)}.")
    for run in own:
        record = records[run.key]
        if record.status != "finished":
            notes.append(f"{run.label}: {record.status}: {record.reason}.")
        notes += [f"{run.label}: {note}." for note in record.notes]
    return notes
