"""Student's intervals of a mean."""

import math
import statistics
from collections.abc import Sequence

from scipy.special import stdtrit

__all__ = ["LEVEL", "Interval", "quantile_of_t", "t_interval"]

LEVEL = 0.95
Interval = tuple[float, float]


def t_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """Return Student's interval of the mean; None below two values."""
    if len(values) < 2:
        return None
    n = len(values)
    half = quantile_of_t(level, n - 1) * statistics.stdev(values) / math.sqrt(n)
    mean = statistics.fmean(values)
    return mean - half, mean + half


def quantile_of_t(level: float, degrees: float) -> float:
    """Return the quantile that two-sided intervals of a level reach to."""
    return float(stdtrit(degrees, (1 + level) / 2))
