"""The best of k configurations against all subsets."""

import itertools
import math

import pytest

from benchmarks.tables.analysis.search_curve import budget_curve, minimum_distribution

SCORES = [3.0, 1.0, None, 2.0, 2.0, float("nan"), 7.0]


def known():
    return [math.inf if s is None or math.isnan(s) else s for s in SCORES]


@pytest.mark.parametrize("k", range(1, 8))
def test_without_replacement_against_all_subsets(k):
    minima = [min(c) for c in itertools.combinations(known(), k)]
    for x in set(known()):
        share = minima.count(x) / len(minima)
        assert mass(minimum_distribution(SCORES, k), x) == pytest.approx(share)


@pytest.mark.parametrize("k", [1, 3])
def test_with_replacement_against_all_draws(k):
    minima = [min(c) for c in itertools.product(known(), repeat=k)]
    for x in set(known()):
        share = minima.count(x) / len(minima)
        assert mass(minimum_distribution(SCORES, k, replacement=True), x) == pytest.approx(share)


def mass(distribution, x):
    return sum(p for value, p in distribution if value == x)


def test_a_curve_ends_at_half_of_the_search():
    curve = budget_curve(SCORES)
    assert [point.k for point in curve] == [1, 2, 3]
    first = curve[0]
    assert (first.lower, first.median, first.upper) == (2.0, 3.0, math.inf)
    assert first.all_failed == pytest.approx(2 / 7)
    assert curve[1].all_failed == pytest.approx(1 / 21)
    assert curve[2].all_failed == 0.0


def test_higher_can_be_better():
    curve = budget_curve([1.0, 2.0, 3.0, None], "higher")
    assert (curve[1].lower, curve[1].median, curve[1].upper) == (2.0, 3.0, 3.0)
    assert budget_curve([1.0, 2.0, 3.0, 4.0], "higher")[0].median == 3.0


def test_more_draws_than_configurations_are_refused():
    with pytest.raises(ValueError, match=r"k must be in 1 .. 7, the number of configurations"):
        minimum_distribution(SCORES, 8)
