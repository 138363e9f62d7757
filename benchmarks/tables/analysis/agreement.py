"""Whether an obtained score agrees with a published one: the rules, in one place."""

import math
from dataclasses import dataclass
from typing import Any

from benchmarks.core.intervals import LEVEL, Interval, quantile_of_t
from benchmarks.tables.analysis.statistics import CellStatistics
from benchmarks.tables.spec import Column, Row, load_published

__all__ = ["Agreement", "PublishedValue", "agreement", "published_value"]

SPREADS = {"seeds": "standard deviations over training seeds", "standard_error": "standard errors",
           "draws": "deviations over evaluation draws"}  # fmt: skip
TOLERANCE = 0.1  # of the published value: an interval that is wider says too little
REASONS = {
    "protocol": "protocol differs",
    "budget": "budget reduced",
    "selection": "selection differs",
    "data": "data differ",
}


@dataclass(frozen=True)
class PublishedValue:
    """A published number.

    Attributes:
        value: As printed.
        spread: As printed after ±; None where none is.
        kind: Key of `SPREADS`: what the spread is of; None where it is not known.
        n: Number of runs or draws behind it; None where it is not known.
        is_checked: Whether it was read in a source, not quoted from memory.
        sign: The sign of a bound: "≤", "≥" or "≈".
    """

    value: float
    spread: float | None
    kind: str | None
    n: int | None
    is_checked: bool
    sign: str | None = None

    @property
    def standard_error(self) -> float | None:
        """The standard error of the published mean; None where kind or n is not known."""
        if self.spread is None:
            return None
        if self.kind == "standard_error":
            return self.spread if self.n else None
        return self.spread / math.sqrt(self.n) if self.kind == "seeds" and self.n else None


@dataclass(frozen=True)
class Agreement:
    """An obtained score beside a published one.

    Attributes:
        verdict: "agrees", "does not agree" or "cannot say".
        difference: Ours minus theirs; None without a score of ours.
        interval: The interval of the difference, at 95 %; None below two seeds.
        in_spreads: The difference in units of the published spread, where its kind and n are
            known.
        unit: What that spread is.
        reasons: What else may explain a difference, or forbids a verdict.
    """

    verdict: str
    difference: float | None
    interval: Interval | None
    in_spreads: float | None
    unit: str | None
    reasons: tuple[str, ...]


def published_value(row: Row, column: Column) -> PublishedValue | None:
    """Return what was published for a cell, or None."""
    if row.published is None or column.published is None:
        return None
    source = load_published()[column.published.source_id]
    entry: dict[str, Any] | None = (
        source["rows"].get(row.published, {}).get(column.published.column)
    )
    if entry is None:
        return None
    return PublishedValue(
        entry["value"],
        entry.get("spread"),
        source.get("spread_kind"),
        source.get("spread_n"),
        entry["mark"] != "M",
        entry.get("sign"),
    )


def agreement(
    ours: CellStatistics, theirs: PublishedValue, differs: tuple[str, ...], deviates: bool
) -> Agreement:
    """Compare a cell with a published number.

    1. A difference in protocol, budget, selection or data alone may explain any difference of
       scores: "cannot say".
    2. Fewer than two seeds, or a published bound against which a mean is no test: "cannot say".
    3. The interval of the difference is the t interval of our mean; where kind and n of the
       published spread give its standard error, that enters too (Welch). If it leaves out 0:
       "does not agree".
    4. If it holds 0 and its half-width is at most a tenth of the published value, or the published
       spread over seeds: "agrees"; else it is too wide: "cannot say".

    Values from memory, unknown noise of theirs, and deviations are listed, and forbid no verdict.

    Args:
        ours: The cell.
        theirs: The published number.
        differs: In which of protocol, budget, selection and data they differ.
        deviates: Whether the row lists deviations from the paper.
    """
    reasons = [REASONS[kind] for kind in differs]
    reasons += [] if theirs.is_checked else ["published value not checked"]
    reasons += ["deviations"] if deviates else []
    if ours.failures:
        reasons.append("failed runs left out")
    if ours.mean is None:
        return Agreement("cannot say", None, None, None, None, (*reasons, "no score"))
    difference = ours.mean - theirs.value
    known = theirs.kind is not None and bool(theirs.spread) and theirs.n is not None
    known &= "protocol" not in differs  # another quantity has other units
    if theirs.standard_error is None:
        reasons.append("noise of the published value not known")
    in_spreads = difference / theirs.spread if known and theirs.spread else None
    unit = SPREADS[theirs.kind] if known and theirs.kind else None
    interval = _interval(ours, theirs, difference)
    if interval is None:
        reasons.append("one seed")
    if theirs.sign is not None:
        reasons.append("published value is a bound")
    verdict = _verdict(interval, theirs, blocked=bool(differs) or theirs.sign is not None)
    return Agreement(verdict, difference, interval, in_spreads, unit, tuple(reasons))


def _verdict(interval: Interval | None, theirs: PublishedValue, blocked: bool) -> str:
    if interval is None or blocked:
        return "cannot say"
    low, high = interval
    if low > 0 or high < 0:
        return "does not agree"
    allowed = TOLERANCE * abs(theirs.value)
    if theirs.kind == "seeds" and theirs.spread:
        allowed = max(allowed, theirs.spread)
    return "agrees" if (high - low) / 2 <= allowed else "cannot say"


def _interval(ours: CellStatistics, theirs: PublishedValue, difference: float) -> Interval | None:
    if ours.std is None:
        return None
    own = ours.std**2 / ours.n
    error = theirs.standard_error
    degrees = float(ours.n - 1)
    if error and theirs.n and theirs.n > 1:  # Welch and Satterthwaite
        other = error**2
        degrees = (own + other) ** 2 / (own**2 / (ours.n - 1) + other**2 / (theirs.n - 1))
        own += other
    half = quantile_of_t(LEVEL, degrees) * math.sqrt(own)
    return difference - half, difference + half
