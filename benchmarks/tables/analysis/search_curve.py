"""The best score of a search against the number of its configurations."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["BudgetPoint", "budget_curve", "minimum_distribution"]


@dataclass(frozen=True)
class BudgetPoint:
    """What the best of k configurations scores.

    Attributes:
        k: Number of configurations drawn.
        lower: First quartile; infinite where that many draws find none that finished.
        median: Median.
        upper: Third quartile.
        all_failed: Probability that all k failed.
    """

    k: int
    lower: float
    median: float
    upper: float
    all_failed: float


def minimum_distribution(
    scores: Sequence[float | None], k: int, replacement: bool = False
) -> list[tuple[float, float]]:
    """Return (score, probability that it is the least of k draws), ascending.

    Without replacement P(min = x_(i)) = C(N - i, k - 1) / C(N, k) for x_(1) <= ... <= x_(N);
    failures are infinite.

    Args:
        scores: One per configuration; None, NaN or infinite: failed.
        k: Number of draws.
        replacement: Draw with replacement, as published curves often do; its minimum is biased
            upwards, the more the nearer k is to N.

    Raises:
        ValueError: unless 1 <= k <= N.
    """
    n = len(scores)
    if not 1 <= k <= n:
        raise ValueError(f"k must be in 1 .. {n}, the number of configurations, got {k}")
    known = [math.inf if s is None or not math.isfinite(s) else s for s in scores]
    if replacement:
        return [(x, ((n - i) ** k - (n - i - 1) ** k) / n**k) for i, x in enumerate(sorted(known))]
    return [
        (x, math.comb(n - i - 1, k - 1) / math.comb(n, k)) for i, x in enumerate(sorted(known))
    ]


def budget_curve(
    scores: Sequence[float | None], better: str = "lower", replacement: bool = False
) -> list[BudgetPoint]:
    """Return median and quartiles of the best of k configurations, k = 1 .. N / 2.

    Beyond N / 2 the draws are nearly the whole search, and tell of it alone.
    """
    sign = 1.0 if better == "lower" else -1.0
    signed = [None if s is None else sign * s for s in scores]
    points = []
    for k in range(1, len(scores) // 2 + 1):
        distribution = minimum_distribution(signed, k, replacement)
        low, middle, high = (sign * _quantile(distribution, q) for q in (0.25, 0.5, 0.75))
        failed = math.fsum(p for x, p in distribution if math.isinf(x))
        ordered = (low, middle, high) if sign > 0 else (high, middle, low)
        points.append(BudgetPoint(k, *ordered, all_failed=failed))
    return points


def _quantile(distribution: Sequence[tuple[float, float]], q: float) -> float:
    reached = 0.0
    for x, p in distribution:
        reached += p
        if reached >= q - 1e-12:
            return x
    return distribution[-1][0]
