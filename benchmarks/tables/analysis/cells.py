"""A table as numbers: plan and records joined, before anything is rounded or laid out."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.core.errors import UserError
from benchmarks.runs.record import Evaluation, Record, bound_sign
from benchmarks.tables.analysis.agreement import (
    Agreement,
    PublishedValue,
    agreement,
    published_value,
)
from benchmarks.tables.analysis.comparison import Comparisons, compare_with_best
from benchmarks.tables.analysis.search_curve import BudgetPoint, budget_curve
from benchmarks.tables.analysis.seeds_needed import seeds_needed
from benchmarks.tables.analysis.statistics import CellStatistics, VarianceSplit, split_variance
from benchmarks.tables.margins import margin_of
from benchmarks.tables.plan.plan import Plan
from benchmarks.tables.plan.planned_run import Key, PlannedRun, fingerprint_of
from benchmarks.tables.plan.selection import best_of, search_score, searched_column
from benchmarks.tables.spec import Column, Row

__all__ = ["Cell", "Cost", "RulesSince", "SearchResult", "Table", "evaluations", "join"]

Records = Mapping[Key, Record]


@dataclass(frozen=True)
class Cell:
    """A row on a column.

    Attributes:
        statistics: Over its ended runs; of images that exist already, over evaluation draws.
        by_seed: Value of each ended run; None: failed.
        sign: "≤" or "≥" where the values are bounds, else "".
        published: What the paper has; None where it has nothing.
        agreement: With that; None without a published value or without an ended run.
        variance: Split into training seeds and evaluation draws, where draws were repeated.
        seeds_needed: The number of seeds that would decide an inconclusive cell; None where none
            up to 1,000 would.
    """

    statistics: CellStatistics
    by_seed: Mapping[int, float | None]
    sign: str
    published: PublishedValue | None
    agreement: Agreement | None
    variance: VarianceSplit | None
    seeds_needed: int | None = None


@dataclass(frozen=True)
class Cost:
    """The cost of training: means over a row's finished runs; None where no record says.

    Attributes:
        images_seen: Length.
        device_hours: Seconds times processes, in hours.
        images_per_second: Over all processes.
        peak_memory_bytes: The peak memory of one process.
    """

    images_seen: float | None
    device_hours: float | None
    images_per_second: float | None
    peak_memory_bytes: float | None


@dataclass(frozen=True)
class SearchResult:
    """A row's search on a data set.

    Attributes:
        scores: The scores of the ended configurations, in order; None: failed.
        total: Number of configurations.
        best: The best run, once all have ended; None before, or where all failed.
        curves: By phase the best score against the number of configurations, drawn without
            replacement; none before all have ended.
        biased: The same with replacement; empty unless the table asks for it.
        device_hours: The device-hours of all its runs.
    """

    scores: tuple[float | None, ...]
    total: int
    best: PlannedRun | None
    curves: Mapping[str, tuple[BudgetPoint, ...]]
    biased: Mapping[str, tuple[BudgetPoint, ...]]
    device_hours: float


@dataclass(frozen=True)
class RulesSince:
    """The rules by which scores are judged.

    Attributes:
        rules: A hash of them.
        since: The time from which on they are known to have been these.
    """

    rules: str
    since: str


@dataclass(frozen=True)
class Table:
    """A joined table.

    Attributes:
        plan: With the seeds of the best configurations.
        records: By key.
        cells: By labels of row and column; only those that the row is for, or the paper has.
        comparisons: By label of the column, where there are pairs.
        costs: By label of the row and data set, of finished runs; a search's is its own.
        searches: By label of the row and data set.
        rules: The rules of its verdicts; None where it has none, or they are not noted.
    """

    plan: Plan
    records: Records
    cells: Mapping[tuple[str, str], Cell]
    comparisons: Mapping[str, Comparisons]
    costs: Mapping[tuple[str, str], Cost]
    searches: Mapping[tuple[str, str], SearchResult]
    rules: RulesSince | None = None


def join(plan: Plan, records: Records) -> Table:
    """Join plan and records.

    Raises:
        UserError: if a column would mix evaluations of several fingerprints, or p(x), p(x | y) and
            densities of dequantised data.
    """
    cells: dict[tuple[str, str], Cell] = {}
    for column in plan.spec.columns:
        _check_kinds(plan, column, records)
        for row in plan.spec.rows:
            cell = _cell(plan, row, column, records)
            if cell is not None:
                cells[row.label, column.label] = cell
    comparisons = {}
    for column in plan.spec.columns:
        scores = {
            row.label: cells[row.label, column.label].by_seed
            for row in plan.spec.rows
            if row.experiment is not None and (row.label, column.label) in cells
        }
        found = compare_with_best(scores, column.better)
        if found is not None:
            comparisons[column.label] = found
    by_cell: dict[tuple[str, str], list[Record]] = {}
    for run in plan.runs:
        if run.key in records and records[run.key].status == "finished":
            by_cell.setdefault((run.row.label, run.dataset), []).append(records[run.key])
    costs = {key: _cost(found) for key, found in by_cell.items()}
    return Table(plan, records, cells, comparisons, costs, _searches(plan, records))


def evaluation_of(run: PlannedRun, column: Column, record: Record) -> Evaluation | None:
    """Return the evaluation that a column shows of a run, or None.

    Raises:
        UserError: if the run was scored under another protocol of this name only.
    """
    wanted = fingerprint_of(column.protocol)
    found = run.shown(record, column)
    if found is not None:
        return found
    others = {e.fingerprint for e in record.evaluations if e.protocol == column.protocol}
    others -= {wanted}
    if others and record.status == "finished":
        raise UserError(
            f"column {column.label!r} mixes protocols named {column.protocol}: "
            f"{wanted[:12]} wanted, {', '.join(sorted(o[:12] for o in others))} in the record of "
            f"{run.label} (evaluate the run again)"
        )
    return None


def evaluations(plan: Plan, column: Column, records: Records) -> Iterator[tuple[str, Evaluation]]:
    """Yield the row's label and the evaluation that a column shows, of each run that has one."""
    for run in plan.runs:
        record = records.get(run.key)
        if record is None or run.dataset != column.dataset or column.protocol not in run.protocols:
            continue
        found = evaluation_of(run, column, record)
        if found is not None:
            yield run.row.label, found


def _cell(plan: Plan, row: Row, column: Column, records: Records) -> Cell | None:
    runs = [r for r in plan.cell(row, column) if column.protocol in r.protocols]
    theirs = published_value(row, column)
    searched = plan.search_of(row, column.dataset)
    if not runs and not searched:
        return None if theirs is None else Cell(CellStatistics(()), {}, "", theirs, None, None)
    by_seed: dict[int, float | None] = {}
    draws: list[list[float]] = []
    sign, deviates = "", False
    missing = 0 if runs else plan.seeds
    for run in runs:
        record = records.get(run.key)
        if record is None or record.status == "interrupted":
            missing += 1
            continue
        deviates |= bool(record.deviations)
        if record.status != "finished":  # whatever it was scored before it failed
            by_seed[run.seed] = None
            continue
        found = evaluation_of(run, column, record)
        if found is None:
            missing += 1  # trained, not scored yet
        elif column.metric in found.metrics:  # a model of one layer has nothing of a second
            by_seed[run.seed] = found.metrics[column.metric]
            draws.append([d for d in found.draws.get(column.metric, ()) if d is not None])
            sign = sign or bound_sign(found, column.metric).strip()
    values: Sequence[float | None] = list(by_seed.values())
    if row.images is not None and draws and len(draws[0]) > 1:
        values = draws[0]
    ours = CellStatistics.of(values, missing)
    differs = column.published.differs if column.published else ()
    agreed = needed = None
    if theirs and by_seed:
        margin = None if "protocol" in differs else margin_of(column.metric)
        agreed = agreement(ours, theirs, margin, differs, deviates, sign)
        needed = seeds_needed(ours, theirs, agreed, margin)
    return Cell(ours, by_seed, sign, theirs, agreed, split_variance(draws), needed)


def _check_kinds(plan: Plan, column: Column, records: Records) -> None:
    kinds: dict[str, str] = {}
    for label, found in evaluations(plan, column, records):
        given, density = found.attributes.get("given"), found.attributes.get("of")
        kinds[f"{density or 'p(x)'}{f' given {given}' if given else ''}"] = label
    if len(kinds) > 1:
        what = ", ".join(f"{kind} ({label})" for kind, label in sorted(kinds.items()))
        raise UserError(f"column {column.label!r} mixes {what}; give each a column of its own")


def _cost(records: Sequence[Record]) -> Cost:
    def mean_of(values: Sequence[float | None]) -> float | None:
        known = [v for v in values if v is not None]
        return statistics.fmean(known) if known else None

    hours = [
        None if (s := r.cost.get("seconds")) is None else s * r.cost.get("processes", 1) / 3600
        for r in records
    ]
    return Cost(
        mean_of([r.counters.get("images_seen") for r in records]),
        mean_of(hours),
        mean_of([r.cost.get("images_per_second") for r in records]),
        mean_of([r.cost.get("peak_memory_bytes") for r in records]),
    )


def _searches(plan: Plan, records: Records) -> dict[tuple[str, str], SearchResult]:
    found = {}
    for row in plan.spec.rows:
        for dataset in dict.fromkeys(c.dataset for c in plan.spec.columns):
            searched = plan.search_of(row, dataset)
            if searched:
                found[row.label, dataset] = _search_result(plan, searched, records)
    return found


def _search_result(plan: Plan, searched: Sequence[PlannedRun], records: Records) -> SearchResult:
    assert plan.spec.search is not None
    scores: dict[str, list[float | None]] = {}
    hours = 0.0
    for run in searched:
        record = records.get(run.key)
        try:
            scores.setdefault(str(run.phase), []).append(search_score(plan.spec, run, record))
        except KeyError:
            continue
        hours += _cost([record] if record else []).device_hours or 0.0
    ended = [s for phase in scores.values() for s in phase]
    better = searched_column(plan.spec, searched[0].dataset).better
    whole = len(ended) == len(searched) and any(s is not None for s in ended)
    asked = plan.spec.search.biased_curve

    def curves(replacement: bool) -> dict[str, tuple[BudgetPoint, ...]]:
        return {p: tuple(budget_curve(s, better, replacement)) for p, s in scores.items()}

    return SearchResult(
        tuple(ended),
        len(searched),
        best_of(plan.spec, searched, records),
        curves(False) if whole else {},
        curves(True) if whole and asked else {},
        hours,
    )
