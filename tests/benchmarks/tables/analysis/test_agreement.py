"""The rules of agreement, each by an example."""

import pytest
from scipy import stats

from benchmarks.tables.analysis.agreement import PublishedValue, agreement
from benchmarks.tables.analysis.statistics import CellStatistics

PAPER = PublishedValue(20.0, 2.0, "seeds", 50, True)


def verdict(values, theirs=PAPER, differs=(), deviates=False, failures=0):
    return agreement(CellStatistics(tuple(values), failures), theirs, differs, deviates)


def test_scores_that_agree():
    found = verdict([19.8, 20.3, 20.4])
    assert found.verdict == "agrees"
    assert found.reasons == ()
    assert found.difference == pytest.approx(1 / 6)
    assert found.in_spreads == pytest.approx(1 / 12)
    assert found.unit == "standard deviations over training seeds"


def test_the_interval_is_welchs():
    ours = [23.0, 24.5, 25.0, 24.0]
    theirs = stats.norm.ppf([(i + 0.5) / 50 for i in range(50)])
    theirs = 20 + 2 * (theirs - theirs.mean()) / theirs.std(ddof=1)
    wanted = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    found = verdict(ours)
    assert found.interval == pytest.approx((wanted.low, wanted.high))
    assert found.verdict == "does not agree"


@pytest.mark.parametrize("kind", ["protocol", "budget", "selection", "data"])
def test_another_measurement_cannot_disagree(kind):
    found = verdict([90.0, 91.0, 92.0], differs=(kind,))
    assert found.verdict == "cannot say"
    assert kind in found.reasons[0]
    assert found.difference == pytest.approx(71.0)  # shown all the same


def test_one_seed_or_a_bound_cannot_say():
    assert verdict([20.0]).verdict == "cannot say"
    assert verdict([20.0]).reasons == ("one seed",)
    bound = PublishedValue(80.0, None, None, None, True, "≤")
    found = verdict([80.0, 80.1], bound)
    assert found.verdict == "cannot say"
    assert found.reasons[-1] == "published value is a bound"


def test_a_wide_interval_cannot_say():
    assert verdict([5.0, 20.0, 35.0]).verdict == "cannot say"


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


def test_spreads_of_unknown_kind_have_no_units():
    for kind, n in ((None, None), ("seeds", None), (None, 5)):
        unknown = verdict([20.0, 21.0], PublishedValue(20.0, 2.0, kind, n, True))
        assert unknown.in_spreads is None
        assert "noise of the published value not known" in unknown.reasons
    assert verdict([20.0, 21.0], PublishedValue(20.0, 2.0, "seeds", 1, True)).interval
    error = PublishedValue(20.0, 0.5, "standard_error", 10, True)
    assert verdict([20.9, 21.1], error).in_spreads == pytest.approx(2.0)
