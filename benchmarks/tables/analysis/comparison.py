"""Which rows of a column can be told from the best one, paired by seed."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from benchmarks.core.intervals import LEVEL, Interval, quantile_of_t, t_interval

__all__ = ["Comparison", "Comparisons", "compare_with_best", "holm", "paired_t", "sign_flip"]

MOST_FLIPPED = 20  # pairs whose 2^n signs are enumerated
Scores = Mapping[int, float | None]  # by seed; None: failed


@dataclass(frozen=True)
class Comparison:
    """A row against the best.

    Attributes:
        label: The label of the row.
        n: Pairs of seeds that both finished.
        dropped: Pairs with a failed or missing run.
        difference: Mean of (row - best); None without a pair.
        interval: The t interval of the difference at 95 %.
        p: The p value of the paired t test, Holm-corrected over the column; None below two pairs.
        sign_flip_p: The p value of the exact sign-flip test, uncorrected; None below one pair or
            above 20.
        smallest_p: The smallest value that the sign-flip test can take with n pairs.
    """

    label: str
    n: int
    dropped: int
    difference: float | None
    interval: Interval | None
    p: float | None
    sign_flip_p: float | None
    smallest_p: float | None

    @property
    def is_told_apart(self) -> bool:
        """Whether the difference is significant at 5 %."""
        return self.p is not None and self.p < 1 - LEVEL


@dataclass(frozen=True)
class Comparisons:
    """A column's rows against the best.

    Attributes:
        best: Label of the row with the best mean of its finite values.
        others: The other rows with a finite value.
        resolved: The smallest mean difference that the paired t test tells apart at 5 % after
            Holm's correction, the median over the other rows; None without an estimate.
    """

    best: str
    others: tuple[Comparison, ...]
    resolved: float | None

    @property
    def not_told_apart(self) -> tuple[str, ...]:
        """The best and every row that was tested and cannot be told from it."""
        tested = [c for c in self.others if c.p is not None]
        return (self.best, *(c.label for c in tested if not c.is_told_apart))


def compare_with_best(rows: Mapping[str, Scores], better: str) -> Comparisons | None:
    """Compare each row with the one of the best mean; None below two rows, or without pairs.

    The best is sought among rows of two finite values or more. A seed is a pair where both runs
    have a finite value; others are dropped and counted.
    """
    sign = 1 if better == "lower" else -1
    finite = {
        label: {s: v for s, v in scores.items() if v is not None and math.isfinite(v)}
        for label, scores in rows.items()
    }
    finite = {label: scores for label, scores in finite.items() if scores}
    if len(finite) < 2:
        return None
    several = [label for label, scores in finite.items() if len(scores) > 1]
    if not several:
        return None
    best = min(several, key=lambda label: sign * statistics.fmean(finite[label].values()))
    others = {
        label: _differences(finite[label], finite[best]) for label in finite if label != best
    }
    raw = {label: paired_t(d) for label, d in others.items()}
    tested = {label: p for label, p in raw.items() if p is not None}
    if not tested:
        return None
    corrected = dict(zip(tested, holm(list(tested.values())), strict=True))
    found = tuple(
        Comparison(
            label,
            len(differences),
            len({*rows[label], *rows[best]}) - len(differences),
            statistics.fmean(differences) if differences else None,
            t_interval(differences),
            corrected.get(label),
            sign_flip(differences),
            2.0 ** (1 - len(differences)) if differences else None,
        )
        for label, differences in others.items()
    )
    return Comparisons(best, found, _resolved(list(others.values()), len(tested)))


def _differences(row: Mapping[int, float], best: Mapping[int, float]) -> list[float]:
    return [row[seed] - best[seed] for seed in sorted(row.keys() & best.keys())]


def paired_t(differences: Sequence[float]) -> float | None:
    """Return the two-sided p of Student's test that the mean is 0; None below two values."""
    if len(differences) < 2:
        return None
    mean, std = statistics.fmean(differences), statistics.stdev(differences)
    if std == 0:
        return 1.0 if mean == 0 else 0.0
    t = mean / (std / math.sqrt(len(differences)))
    return float(2 * stdtr(len(differences) - 1, -abs(t)))


def sign_flip(differences: Sequence[float]) -> float | None:
    """Return the share of all 2^n signs under which the mean is at least as far from 0.

    None without a value, and above 20, where they are not enumerated. It is exact for
    differences that are symmetric about 0, and cannot be below 2^(1 - n).
    """
    n = len(differences)
    if not 1 <= n <= MOST_FLIPPED:
        return None
    sums = np.zeros(1)
    for d in differences:  # of the first signs, then of one more
        sums = np.concatenate([sums + d, sums - d])
    slack = 1e-12 * float(np.abs(differences).sum())
    return float((np.abs(sums) >= abs(math.fsum(differences)) - slack).mean())


def holm(ps: Sequence[float]) -> list[float]:
    """Return p values corrected for their number (Holm, 1979): step-down, never decreasing."""
    order = sorted(range(len(ps)), key=ps.__getitem__)
    corrected = [0.0] * len(ps)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[i]))
        corrected[i] = highest
    return corrected


def _resolved(all_differences: Sequence[Sequence[float]], tests: int) -> float | None:
    level = 1 - (1 - LEVEL) / tests  # the strictest of Holm's steps
    found = [
        quantile_of_t(level, len(d) - 1) * statistics.stdev(d) / math.sqrt(len(d))
        for d in all_differences
        if len(d) > 1
    ]
    return statistics.median(found) if found else None
