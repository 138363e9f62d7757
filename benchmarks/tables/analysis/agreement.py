"""Whether an obtained score agrees with a published one: the rules, in one place."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.core.intervals import LEVEL, Interval, quantile_of_t
from benchmarks.tables.analysis.statistics import CellStatistics
from benchmarks.tables.margins import Margin
from benchmarks.tables.spec import Column, Row, load_published

__all__ = ["Agreement", "PublishedValue", "Verdict", "agreement", "half_width", "published_value"]

SPREADS = {"seeds": "standard deviations over training seeds", "standard_error": "standard errors",
           "draws": "deviations over evaluation draws"}  # fmt: skip
REASONS = {
    "protocol": "protocol differs",
    "budget": "budget reduced",
    "selection": "selection differs",
    "data": "data differ",
}
Verdict = Literal["agrees", "differs", "inconclusive", "cannot say"]


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
        verdict: What can be said.
        difference: Ours minus theirs; None without a score of ours.
        interval: The interval of the difference, at 95 %; None below two seeds.
        margin: The largest difference that counts as none; None for another quantity.
        in_spreads: The difference in units of the published spread, where its kind and n are
            known.
        unit: What that spread is.
        reasons: What else may explain a difference, or forbids a verdict.
    """

    verdict: Verdict
    difference: float | None
    interval: Interval | None
    margin: float | None
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
    ours: CellStatistics,
    theirs: PublishedValue,
    margin: Margin | None,
    differs: tuple[str, ...] = (),
    deviates: bool = False,
    sign: str = "",
) -> Agreement:
    """Compare a cell with a published number: a test of equivalence within a margin.

    1. A difference in protocol, budget, selection or data alone may explain any difference of
       scores, and a bound of theirs says nothing of a score that is none: "cannot say".
    2. The interval of the difference is the t interval of our mean; where kind and n of the
       published spread give its standard error, that enters too (Welch). A count that came out
       the same every time is not known exactly: one run in the share that was not seen may be a
       step away (see `_squared_error`). Where only n of theirs is known, their runs are taken to
       scatter as ours do.
    3. "agrees" if the interval lies inside the margin, "differs" if it lies outside, else
       "inconclusive"; the same below two seeds.

    If every difference were within its margin, each verdict would be a false "differs" with a
    probability of at most (1 - .95) / 2.

    Values from memory, unknown noise of theirs, and deviations are listed, and forbid no verdict.

    Args:
        ours: The cell.
        theirs: The published number.
        margin: The margin of the metric; None where the protocol differs.
        differs: In which of protocol, budget, selection and data they differ.
        deviates: Whether the row lists deviations from the paper.
        sign: The sign of our values, where they are bounds.
    """
    blocked = bool(differs) or (theirs.sign or "") not in ("", sign)
    reasons = _reasons(ours, theirs, differs, deviates, sign)
    allowed = None if margin is None else margin.around(theirs.value)
    step = None if margin is None else margin.step
    verdict: Verdict = "cannot say" if blocked else "inconclusive"
    if ours.mean is None:
        return Agreement(verdict, None, None, allowed, None, None, (*reasons, "no score"))
    difference = ours.mean - theirs.value
    interval = _interval(ours, theirs, difference, step)
    if not blocked and allowed is not None:
        verdict = _verdict(interval, allowed)
    spread = theirs.spread if theirs.kind and theirs.n and "protocol" not in differs else None
    return Agreement(
        verdict,
        difference,
        interval,
        allowed,
        difference / spread if spread else None,
        SPREADS[theirs.kind] if spread and theirs.kind else None,
        reasons,
    )


def _reasons(
    ours: CellStatistics,
    theirs: PublishedValue,
    differs: tuple[str, ...],
    deviates: bool,
    sign: str,
) -> tuple[str, ...]:
    own_spread = theirs.spread is None and theirs.n is not None
    said = {
        "published value not checked": not theirs.is_checked,
        "deviations": deviates,
        "failed runs left out": ours.failures > 0,
        "noise of the published value not known": not (theirs.standard_error or own_spread),
        "the published mean's runs taken to scatter as ours": own_spread,
        "one seed": ours.n == 1,
        "published value is a bound": (theirs.sign or "") not in ("", sign),
    }
    return (*(REASONS[kind] for kind in differs), *(text for text, holds in said.items() if holds))


def _verdict(interval: Interval | None, allowed: float) -> Verdict:
    if interval is None:
        return "inconclusive"
    low, high = interval
    if -allowed <= low and high <= allowed:
        return "agrees"
    return "differs" if low > allowed or high < -allowed else "inconclusive"


def _interval(
    ours: CellStatistics, theirs: PublishedValue, difference: float, step: float | None
) -> Interval | None:
    if ours.std is None:
        return None
    half = half_width(ours.std, ours.n, theirs, step)
    return difference - half, difference + half


def half_width(std: float, n: int, theirs: PublishedValue, step: float | None) -> float:
    """Return half the interval's width for n runs of this deviation."""
    own = _squared_error(std, n, step)
    error, degrees = theirs.standard_error, float(n - 1)
    if error and theirs.n and theirs.n > 1:  # Welch and Satterthwaite
        other = error**2
        degrees = (own + other) ** 2 / (own**2 / (n - 1) + other**2 / (theirs.n - 1))
        own += other
    if theirs.spread is None and theirs.n:
        own += std**2 / theirs.n
    return quantile_of_t(LEVEL, degrees) * math.sqrt(own)


def _squared_error(std: float, n: int, step: float | None) -> float:
    """Return the squared standard error of a mean of n runs.

    Of a count it is no less than what n equal values tell: with 95 % confidence the share of
    runs that come out otherwise is at most 1 - .05^(1/n), and each of them at least a step away.
    """
    squared = std**2 / n
    if step is None:
        return squared
    unseen = step * (1 - (1 - LEVEL) ** (1 / n)) / quantile_of_t(LEVEL, n - 1)
    return max(squared, unseen**2)
