"""The rules of agreement, each by an example."""

import pytest
from scipy import stats

from benchmarks.tables.analysis.agreement import PublishedValue, agreement
from benchmarks.tables.analysis.seeds_needed import seeds_needed
from benchmarks.tables.analysis.statistics import CellStatistics
from benchmarks.tables.margins import Margin

PAPER = PublishedValue(20.0, 2.0, "seeds", 50, True)
ALONE = PublishedValue(20.0, None, None, None, True)
UNIT = Margin("a unit", absolute=1.0)
COUNT = Margin("half a mode", absolute=0.5, step=1)


def verdict(values, theirs=PAPER, margin=UNIT, failures=0, **settings):
    return agreement(CellStatistics(tuple(values), failures), theirs, margin, **settings)


def needed(values, theirs=PAPER, margin=UNIT):
    found = verdict(values, theirs, margin)
    return seeds_needed(CellStatistics(tuple(values)), theirs, found, margin)


def test_an_interval_inside_the_margin_agrees():
    found = verdict([19.8, 20.3, 20.4])
    assert found.verdict == "agrees"
    assert found.reasons == ()
    assert found.margin == 1.0
    assert found.difference == pytest.approx(1 / 6)
    assert found.in_spreads == pytest.approx(1 / 12)
    assert found.unit == "standard deviations over training seeds"
    assert needed([19.8, 20.3, 20.4]) is None


def test_an_interval_outside_the_margin_differs():
    assert verdict([22.0, 22.1, 22.2]).verdict == "differs"
    assert verdict([17.8, 17.9, 18.0]).verdict == "differs"


def test_a_trivial_gap_with_tight_seeds_agrees():
    """The interval leaves out 0: a point null would be refused."""
    found = verdict([20.50, 20.51, 20.52], ALONE)
    assert found.interval[0] > 0
    assert found.verdict == "agrees"


def test_an_interval_across_the_margin_is_inconclusive_and_says_how_many_seeds_it_would_take():
    values = [20.0, 21.0, 20.2]
    found = verdict(values, ALONE)
    assert found.verdict == "inconclusive"
    mean, std = stats.tmean(values), stats.tstd(values)
    gap = 1.0 - abs(mean - 20.0)
    enough = next(n for n in range(4, 99) if stats.t.ppf(0.975, n - 1) * std / n**0.5 <= gap)
    assert needed(values, ALONE) == enough


def test_no_number_of_seeds_helps_where_the_published_error_alone_is_too_wide():
    wide = PublishedValue(20.0, 3.0, "standard_error", 10, True)
    found = verdict([20.0, 20.1, 19.9], wide)
    assert found.verdict == "inconclusive"
    assert needed([20.0, 20.1, 19.9], wide) is None


def test_a_published_mean_of_known_runs_scatters_as_ours():
    """Ours differ from a mean of five runs as two means of one distribution would."""
    values, known = [20.0, 21.0, 20.2], PublishedValue(20.0, None, None, 5, True)
    found = verdict(values, known)
    half = stats.t.ppf(0.975, 2) * stats.tstd(values) * (1 / 3 + 1 / 5) ** 0.5
    assert found.interval == pytest.approx((0.4 - half, 0.4 + half))
    assert found.reasons == ("the published mean's runs taken to scatter as ours",)


def test_the_margin_may_be_a_share_of_the_published_value():
    tenth = Margin("a tenth", relative=0.1)
    assert verdict([21.4, 21.5, 21.6], ALONE, tenth).verdict == "agrees"
    assert verdict([22.4, 22.5, 22.6], ALONE, tenth).verdict == "differs"
    negative = PublishedValue(-20.0, None, None, None, True)
    assert verdict([-21.4, -21.5, -21.6], negative, tenth).verdict == "agrees"


def test_the_interval_is_welchs():
    ours = [23.0, 24.5, 25.0, 24.0]
    theirs = stats.norm.ppf([(i + 0.5) / 50 for i in range(50)])
    theirs = 20 + 2 * (theirs - theirs.mean()) / theirs.std(ddof=1)
    wanted = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    found = verdict(ours)
    assert found.interval == pytest.approx((wanted.low, wanted.high))
    assert found.verdict == "differs"


@pytest.mark.parametrize(
    ("n", "expected"), [(2, "inconclusive"), (4, "inconclusive"), (5, "agrees")]
)
def test_equal_counts_are_not_known_exactly(n, expected):
    """All seeds found 25 modes: the share that finds 24 may be as much as 1 - .05^(1/n)."""
    found = verdict([25.0] * n, PublishedValue(25.0, None, None, None, True), COUNT)
    assert found.interval[1] == pytest.approx(1 - 0.05 ** (1 / n))
    assert found.verdict == expected
    known = PublishedValue(25.0, None, None, None, True)
    assert needed([25.0] * n, known, COUNT) == (None if n == 5 else 5)


def test_equal_values_of_no_count_are_what_they_are():
    assert verdict([20.5, 20.5], ALONE).interval == (0.5, 0.5)


@pytest.mark.parametrize("kind", ["protocol", "budget", "selection", "data"])
def test_another_measurement_cannot_disagree(kind):
    found = verdict([90.0, 91.0, 92.0], differs=(kind,))
    assert found.verdict == "cannot say"
    assert kind in found.reasons[0]
    assert found.difference == pytest.approx(71.0)  # shown all the same


def test_one_seed_is_inconclusive():
    found = verdict([20.0])
    assert found.verdict == "inconclusive"
    assert found.reasons == ("one seed",)
    assert needed([20.0]) == 2


def test_a_bound_of_theirs_is_compared_with_a_bound_only():
    bound = PublishedValue(20.0, None, None, None, True, "≤")
    found = verdict([20.0, 20.1], bound)
    assert found.verdict == "cannot say"
    assert found.reasons[-1] == "published value is a bound"
    assert verdict([20.0, 20.1], bound, sign="≤").verdict == "agrees"


def test_memory_deviations_and_failures_are_reasons_that_forbid_nothing():
    theirs = PublishedValue(20.0, None, None, None, False)
    found = verdict([20.1, 19.9, 20.0], theirs, deviates=True, failures=2)
    assert found.verdict == "agrees"
    assert found.reasons == (
        "published value not checked",
        "deviations",
        "failed runs left out",
        "noise of the published value not known",
    )
    assert found.in_spreads is None
    assert verdict([], theirs).reasons[-1] == "no score"
    assert verdict([], theirs).verdict == "inconclusive"


def test_spreads_of_unknown_kind_have_no_units():
    for kind, n in ((None, None), ("seeds", None), (None, 5)):
        unknown = verdict([20.0, 21.0], PublishedValue(20.0, 2.0, kind, n, True))
        assert unknown.in_spreads is None
        assert "noise of the published value not known" in unknown.reasons
    assert verdict([20.0, 21.0], PublishedValue(20.0, 2.0, "seeds", 1, True)).interval
    error = PublishedValue(20.0, 0.5, "standard_error", 10, True)
    assert verdict([20.9, 21.1], error).in_spreads == pytest.approx(2.0)


def test_few_verdicts_are_false():
    """At the edge of the margin a false "differs" comes with a probability of 2.5 %."""
    import numpy as np

    rng = np.random.default_rng(0)
    draws = 4000
    found = [verdict(rng.normal(21.0, 0.5, 4), ALONE).verdict for _ in range(draws)]
    share = found.count("differs") / draws
    error = (0.025 * 0.975 / draws) ** 0.5
    assert share == pytest.approx(0.025, abs=4 * error)
