"""Intervals against simulation, the split of variance by hand."""

import math
import statistics

import numpy as np
import pytest
from scipy import stats

from benchmarks.tables.analysis.statistics import (
    BOOTSTRAP_COVERAGE,
    CellStatistics,
    bootstrap_interval,
    iqm,
    split_variance,
    t_interval,
)


def test_failures_and_missing_runs_are_counted():
    cell = CellStatistics.of([1.0, 3.0, None, float("inf"), float("nan")], missing=1)
    assert (cell.n, cell.failures, cell.missing) == (2, 3, 1)
    assert (cell.mean, cell.median) == (2.0, 2.0)
    assert cell.std == pytest.approx(math.sqrt(2))
    assert cell.text(1) == "2.0 ± 1.4"


def test_texts_without_values():
    assert CellStatistics.of([], 2).text(1) == "–"
    assert CellStatistics.of([None], 0).text(1) == "failed"
    assert CellStatistics.of([2.345], 0).text(2) == "2.35"  # one value has no deviation


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_t_interval_covers_95_percent(n):
    """20,000 normal samples: one standard error of the share is .15 points; within 1 point."""
    x = np.random.default_rng(n).normal(3.0, 2.0, size=(20_000, n))
    intervals = [t_interval(row) for row in x.tolist()]
    covered = np.mean([low <= 3.0 <= high for low, high in intervals])
    assert covered == pytest.approx(0.95, abs=0.01)


def test_the_t_interval_is_scipys():
    x = [1.0, 2.0, 4.0, 4.5]
    wanted = stats.t.interval(0.95, 3, statistics.fmean(x), stats.sem(x))
    assert t_interval(x) == pytest.approx(wanted)
    assert t_interval([1.0]) is None


def test_the_middle_half():
    assert iqm([5.0, 1.0, 3.0]) == 3.0  # of three it is the mean
    assert iqm([100.0, 1.0, 2.0, 3.0]) == 2.5
    x = np.random.default_rng(0).normal(size=50)
    assert iqm(x) == pytest.approx(stats.trim_mean(x, 0.25))


@pytest.mark.parametrize("statistic", [np.median, iqm])
def test_the_bootstrap_covers_what_it_states(statistic):
    """1,000 data sets of 40: a standard error of .7 points; within 2.5 points."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(1000):
        low, high = bootstrap_interval(rng.normal(size=40).tolist(), statistic)
        covered += low <= 0 <= high
    assert covered / 1000 == pytest.approx(BOOTSTRAP_COVERAGE, abs=0.025)


def test_the_bootstrap_has_a_generator_of_its_own():
    x = np.random.default_rng(0).normal(size=40).tolist()
    np.random.seed(1)  # noqa: NPY002
    first = bootstrap_interval(x, np.median, 3)
    np.random.seed(2)  # noqa: NPY002
    assert bootstrap_interval(x, np.median, 3) == first
    assert bootstrap_interval(x, np.mean, 4) != bootstrap_interval(x, np.mean, 3)
    assert bootstrap_interval(x[:39], np.median) is None  # it would cover too little


def test_variance_of_seeds_and_of_draws():
    """By hand: the means are 1 and 3, their variance 2; that within is 2 and its share 2 / 2."""
    found = split_variance([[0.0, 2.0], [2.0, 4.0]])
    assert (found.seed_std, found.draw_std, found.draws) == (1.0, math.sqrt(2), 2)
    assert split_variance([[0.0, 1.0]]) is None
    assert split_variance([[0.0], [1.0]]) is None
    assert split_variance([[0.0, 1.0], [1.0]]) is None


def test_variances_are_found_again():
    rng = np.random.default_rng(0)
    groups = rng.normal(0, 2.0, (400, 1)) + rng.normal(0, 1.0, (400, 8))
    found = split_variance(groups.tolist())
    assert found.seed_std == pytest.approx(2.0, rel=0.1)
    assert found.draw_std == pytest.approx(1.0, rel=0.05)
