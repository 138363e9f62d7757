"""Statistics of a cell over seeds. Failed runs stay in, as failures beside the finite ones."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.core.intervals import LEVEL, Interval, t_interval

__all__ = ["CellStatistics", "VarianceSplit", "bootstrap_interval", "iqm", "split_variance"]

BOOTSTRAP_FROM = 40  # below it a percentile interval covers too little
RESAMPLES = 2000
SEED = 0
# Measured on normal data at n = 40, 4,000 data sets (tests/benchmarks/tables).
BOOTSTRAP_COVERAGE = 0.94


@dataclass(frozen=True)
class CellStatistics:
    """A cell over its ended runs.

    Attributes:
        values: The finite values, in the order of the seeds.
        failures: Runs that ended without a finite value.
        missing: Runs not done.
    """

    values: tuple[float, ...]
    failures: int = 0
    missing: int = 0

    @classmethod
    def of(cls, values: Sequence[float | None], missing: int) -> "CellStatistics":
        """Summarise one value per ended run (None, NaN or infinite: a failure)."""
        finite = tuple(v for v in values if v is not None and math.isfinite(v))
        return cls(finite, len(values) - len(finite), missing)

    @property
    def n(self) -> int:
        """Number of finite values."""
        return len(self.values)

    @property
    def mean(self) -> float | None:
        """Mean of the finite values."""
        return statistics.fmean(self.values) if self.values else None

    @property
    def std(self) -> float | None:
        """Sample standard deviation (n - 1); None below two values."""
        return statistics.stdev(self.values) if self.n > 1 else None

    @property
    def median(self) -> float | None:
        """Median of the finite values."""
        return statistics.median(self.values) if self.values else None

    @property
    def iqm(self) -> float | None:
        """Mean of the middle half."""
        return iqm(self.values) if self.values else None

    @property
    def interval(self) -> Interval | None:
        """The t interval of the mean at 95 %; None below two values."""
        return t_interval(self.values)

    @property
    def median_interval(self) -> Interval | None:
        """The bootstrap interval of the median at 95 %; None below 40 values."""
        return bootstrap_interval(self.values, np.median)

    @property
    def iqm_interval(self) -> Interval | None:
        """The bootstrap interval of the mean of the middle half; None below 40 values."""
        return bootstrap_interval(self.values, iqm)

    def text(self, digits: int) -> str:
        """Return `mean ± std`, `mean`, `failed`, or a dash."""
        if self.mean is None:
            return "failed" if self.failures else "–"
        mean = f"{self.mean:.{digits}f}"
        return mean if self.std is None else f"{mean} ± {self.std:.{digits}f}"


def iqm(values: Sequence[float] | np.ndarray, axis: int = -1) -> Any:
    """Return the mean without the lowest and the highest quarter (rounded down) of the values."""
    ordered = np.sort(np.asarray(values, dtype=np.float64), axis=axis)
    cut = ordered.shape[axis] // 4
    middle = np.take(ordered, range(cut, ordered.shape[axis] - cut), axis=axis).mean(axis=axis)
    return float(middle) if middle.ndim == 0 else middle


def bootstrap_interval(
    values: Sequence[float], statistic: Callable[..., np.ndarray | float], seed: int = SEED
) -> Interval | None:
    """Return the percentile interval at 95 % of 2,000 resamples; None below 40 values.

    The generator is its own, so that the interval depends on values and seed only. On normal data
    of 40 values it covers about 94 % for the median and the IQM (nominal 95).

    Args:
        values: One per run.
        statistic: Takes an array and an axis.
        seed: The seed of the resamples.
    """
    if len(values) < BOOTSTRAP_FROM:
        return None
    x = np.asarray(values, dtype=np.float64)
    index = np.random.default_rng(seed).integers(len(x), size=(RESAMPLES, len(x)))
    found = statistic(x[index], axis=1)
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class VarianceSplit:
    """Where the spread of a cell comes from.

    Attributes:
        seed_std: Deviation over training seeds, the evaluation's noise taken off.
        draw_std: Deviation over evaluation draws of one model.
        draws: Number of draws per model.
    """

    seed_std: float
    draw_std: float
    draws: int


def split_variance(groups: Sequence[Sequence[float]]) -> VarianceSplit | None:
    """Split the variance of draws, a group per training seed, by one-way random effects.

    None with fewer than two groups, groups of different sizes, or fewer than two draws each.
    """
    sizes = {len(g) for g in groups}
    if len(groups) < 2 or len(sizes) != 1 or (draws := sizes.pop()) < 2:
        return None
    within = statistics.fmean(statistics.variance(g) for g in groups)
    between = statistics.variance([statistics.fmean(g) for g in groups])
    return VarianceSplit(math.sqrt(max(between - within / draws, 0.0)), math.sqrt(within), draws)
