"""`dgmbench verdicts`: every published number that the tables name, and what ours say of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.core.files import write_atomically
from benchmarks.core.intervals import LEVEL
from benchmarks.tables.analysis.agreement import PublishedValue, published_value
from benchmarks.tables.analysis.cells import Cell, join
from benchmarks.tables.plan.estimate import device_hours, known_rates
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.plan.planned_run import Key, PlannedRun
from benchmarks.tables.plan.scale import published_scale
from benchmarks.tables.rendering.readme import into_readme
from benchmarks.tables.spec import Column, Row, load_spec, table_names

__all__ = ["Judgement", "in_brief", "in_readme", "ledger", "page_of", "write_page"]

PAGE = Path("docs/verdicts.md")
NOT_RUN, NOT_BUILT = "not run", "not built"
EXPLAINED = (
    "A verdict is a test of equivalence: our interval, with the published standard error where it "
    "is known, lies inside the margin of the metric ([margins.yaml](../configs/margins.yaml), "
    '"agrees"), outside ("differs"), or across ("inconclusive"). Where protocol, budget, '
    "selection or data differ from the paper's, nothing can be said."
)
ORDER = ("agrees", "differs", "inconclusive", "cannot say", NOT_RUN, NOT_BUILT)
README = "verdicts"  # the name of its marks there


@dataclass(frozen=True)
class LedgerCell:
    """A cell of a table that stands beside a published number.

    Attributes:
        table: The name of the table.
        row: The row.
        column: The column.
        published: The number.
        cell: What we have; None where the row is not for the column's data.
        missing: Its runs that are not done.
        hours: Device-hours that these would take; None where no run of their kind was measured.
    """

    table: str
    row: Row
    column: Column
    published: PublishedValue
    cell: Cell | None
    missing: tuple[PlannedRun, ...]
    hours: float | None

    @property
    def is_filled(self) -> bool:
        """Whether there is a score of ours."""
        return self.cell is not None and self.cell.statistics.mean is not None

    @property
    def differs(self) -> tuple[str, ...]:
        """In what the column's scores differ from the paper's."""
        return self.column.published.differs if self.column.published else ()


@dataclass(frozen=True)
class Judgement:
    """A published number, and what is said of it.

    Attributes:
        source_id: The published table.
        row: The row there.
        column: The column there.
        place: The cell of ours that speaks of it.
        state: A verdict, "not run", or "not built" where no experiment of ours is for it.
        reasons: Why it is none other.
    """

    source_id: str
    row: str
    column: str
    place: LedgerCell
    state: str
    reasons: tuple[str, ...]

    @property
    def is_at_budget(self) -> bool:
        """Whether it is filled by runs of the paper's length."""
        return self.place.is_filled and "budget" not in self.place.differs


def ledger(tables: Sequence[str] | None = None) -> list[Judgement]:
    """Return every published number that tables name, once, by what is published of ours.

    Args:
        tables: Names; None for all.
    """
    found: dict[tuple[str, str, str], list[LedgerCell]] = {}
    for name in table_names() if tables is None else tables:
        for key, place in _places(name):
            found.setdefault(key, []).append(place)
    return [_entry(key, places) for key, places in found.items()]


def _places(name: str) -> Iterator[tuple[tuple[str, str, str], LedgerCell]]:
    """Yield the cells of a table that stand beside a published number, by that number."""
    spec = load_spec(name)
    if not any(column.published for column in spec.columns):
        return  # to plan it would take a second
    plan, records = make_plan(spec, *published_scale(name)).complete(True, outputs=False)
    table = join(plan, records)
    rates: Mapping[tuple[str, str], float] | None = None
    for row in spec.rows:
        for column in spec.columns:
            value = published_value(row, column)
            if value is None or row.published is None or column.published is None:
                continue
            planned = [*plan.cell(row, column), *plan.search_of(row, column.dataset)]
            runs = [r for r in planned if column.protocol in r.protocols]
            missing = tuple(r for r in runs if not r.is_done(records.get(r.key)))
            if missing and rates is None:
                rates = known_rates(plan.all_runs, records)
            cell = table.cells[row.label, column.label] if runs else None
            key = (column.published.source_id, row.published, column.published.column)
            yield (
                key,
                LedgerCell(name, row, column, value, cell, missing, _hours(missing, rates or {})),
            )


def _hours(missing: Sequence[PlannedRun], rates: Mapping[tuple[str, str], float]) -> float | None:
    known = [h for run in missing if (h := device_hours(run, rates)) is not None]
    return sum(known) if len(known) == len(missing) else None


def _entry(key: tuple[str, str, str], places: Sequence[LedgerCell]) -> Judgement:
    """Say of a published number what the best of our cells says, or its readings together."""
    best = min(places, key=_rank)
    state, reasons = _state(best)
    readings = [p for p in places if p.row.reading is not None and p.is_filled]
    if len({p.row.reading for p in readings}) > 1:
        best, state, reasons = _of_readings(readings)
    return Judgement(*key, best, state, reasons)


def _rank(place: LedgerCell) -> tuple[bool, int, bool, int]:
    """Order cells of one published number: filled ones first, the nearest to the paper's first."""
    return (
        not place.is_filled,
        len(place.differs),
        place.cell is None,
        -(place.cell.statistics.n if place.cell else 0),
    )


def _state(place: LedgerCell) -> tuple[str, tuple[str, ...]]:
    if place.cell is None:
        return NOT_BUILT, ("no experiment of ours stands in its row",)
    if place.cell.agreement is None:
        return NOT_RUN, ()
    return place.cell.agreement.verdict, place.cell.agreement.reasons


def _of_readings(places: Sequence[LedgerCell]) -> tuple[LedgerCell, str, tuple[str, ...]]:
    """Return the verdict of several readings of what a paper leaves open.

    One that was confirmed on fresh seeds stands for all. One that fits without that was chosen
    for its score, and is inconclusive; if none fits, the number differs under every reading.
    """
    by_state: dict[str, list[LedgerCell]] = {}
    for place in places:
        by_state.setdefault(_state(place)[0], []).append(place)
    said = tuple(f"{p.row.reading}: {_state(p)[0]}" for p in places)
    for place in places:
        if place.row.first_seed:
            return place, _state(place)[0], (f"reading confirmed: {place.row.reading}", *said)
    if "agrees" in by_state:
        return by_state["agrees"][0], "inconclusive", ("a reading to be confirmed", *said)
    if set(by_state) == {"differs"}:
        return places[0], "differs", said
    undecided = next(s for s in ("inconclusive", "cannot say") if s in by_state)
    return by_state[undecided][0], undecided, said


def in_brief(entries: Sequence[Judgement]) -> list[str]:
    """Return three lines that sum up the ledger."""
    filled = [e for e in entries if e.place.is_filled]
    full = [e for e in filled if e.is_at_budget]
    by_state = {s: sum(e.state == s for e in full) for s in ORDER[:4]}
    judged = sum(by_state[s] for s in ("agrees", "differs", "inconclusive"))
    verdicts = ", ".join(f"{n} {s}" for s, n in by_state.items())
    return [
        f"{len(entries)} published numbers stand in the tables; {len(filled)} have a score of "
        f"ours beside them, {len(full)} of these at the paper's budget: {verdicts}.",
        f"If all {judged} that were judged lay within their margins, at most "
        f"{(1 - LEVEL) / 2 * judged:.1f} would be expected to be told to differ falsely.",
        _cost(entries),
    ]


def _cost(entries: Sequence[Judgement]) -> str:
    """Say what the missing runs would take, each counted once."""
    hours: dict[Key, float | None] = {}
    for place in (e.place for e in entries if e.place.missing):
        each = None if place.hours is None else place.hours / len(place.missing)
        hours |= {run.key: each for run in place.missing}
    if not hours:
        return "No run that tables plan beside these numbers is missing."
    known = [h for h in hours.values() if h is not None]
    total = f"{sum(known):,.1f} device-hours for {len(known)} of them" if known else "unknown"
    return f"{len(hours)} runs that tables plan beside these numbers are missing; cost: {total}."


def page_of(entries: Sequence[Judgement]) -> str:
    """Return the ledger as a page in Markdown: verdicts first, then what is cheapest to fill."""
    lines = [
        "# Verdicts",
        "",
        "<!-- generated by `dgmbench verdicts --write` -->",
        "",
        *in_brief(entries),
        "",
        EXPLAINED,
    ]
    for state in ORDER:
        own = sorted((e for e in entries if e.state == state), key=_cheapest_first)
        if own:
            lines += ["", f"## {state[0].upper()}{state[1:]} ({len(own)})", "", *_table(own)]
    return "\n".join(lines) + "\n"


def _cheapest_first(entry: Judgement) -> tuple[float, str, str, str]:
    hours = entry.place.hours if entry.place.missing else 0.0
    return (float("inf") if hours is None else hours, entry.source_id, entry.row, entry.column)


def _table(entries: Sequence[Judgement]) -> Iterator[str]:
    yield "| published | value | ours | n | difference | table, row | why | missing runs |"
    yield "|---|---|---|---|---|---|---|---|"
    for entry in entries:
        yield f"| {' | '.join(_fields(entry))} |"


def _fields(entry: Judgement) -> list[str]:
    place, cell = entry.place, entry.place.cell
    value = f"{place.published.sign or ''}{place.published.value:g}"
    if place.published.spread is not None:
        value += f" ± {place.published.spread:g}"
    ours, n, difference = "–", "–", "–"
    if cell is not None and cell.statistics.mean is not None:
        ours = cell.sign + cell.statistics.text(place.column.digits)
        n = str(cell.statistics.n)
    if cell is not None and cell.agreement is not None and cell.agreement.interval is not None:
        low, high = cell.agreement.interval
        difference = f"{low:+.3g} .. {high:+.3g}"
    missing = "–"
    if place.missing:
        cost = "cost unknown" if place.hours is None else f"{place.hours:.1f} device-hours"
        missing = f"{len(place.missing)}, {cost}"
    return [
        f"{entry.source_id}, {entry.row}, {entry.column}",
        value,
        ours,
        n,
        difference,
        f"{place.table}, {place.row.label}",
        "; ".join(entry.reasons) or "–",
        missing,
    ]


def write_page(root: Path) -> list[str]:
    """Write the page, where docs/ has a place for it, and its lines between the README's marks.

    Returns:
        What was renewed.
    """
    page, readme = root / PAGE, root / "README.md"
    if not page.parent.is_dir():
        return []
    entries, renewed = ledger(), []
    text = page_of(entries)
    if not page.is_file() or page.read_text(encoding="utf-8") != text:
        write_atomically(page, text)
        renewed.append(str(PAGE))
    before = readme.read_bytes() if readme.exists() else b""
    if into_readme(README, in_readme(entries), readme) and readme.read_bytes() != before:
        renewed.append("README.md")
    return renewed


def in_readme(entries: Sequence[Judgement]) -> str:
    """Return what the README says of the ledger."""
    return "\n".join([*in_brief(entries), f"All of them: [{PAGE}]({PAGE})."])
