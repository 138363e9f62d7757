"""Tests over seeds against scipy and by hand."""

import itertools

import numpy as np
import pytest
from scipy import stats

from benchmarks.tables.analysis.comparison import compare_with_best, holm, paired_t, sign_flip


def test_paired_t_is_scipys():
    a, b = np.random.default_rng(0).normal(size=(2, 6))
    assert paired_t((a - b).tolist()) == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert paired_t([1.0]) is None
    assert paired_t([0.0, 0.0]) == 1.0
    assert paired_t([1.0, 1.0]) == 0.0


def test_sign_flip_counts_all_signs():
    d = [0.5, -0.2, 1.5, 0.7, 0.1]
    sums = [sum(s * x for s, x in zip(signs, d, strict=True)) for signs in
            itertools.product((1, -1), repeat=5)]  # fmt: skip
    share = np.mean([abs(s) >= abs(sum(d)) - 1e-9 for s in sums])
    assert sign_flip(d) == pytest.approx(share)
    wanted = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip(d) == pytest.approx(wanted.pvalue)


@pytest.mark.parametrize(("n", "least"), [(3, 0.25), (5, 0.0625), (10, 2 / 1024)])
def test_the_smallest_p_of_n_signs(n, least):
    rows = {"a": {s: 0.0 + 0.01 * s for s in range(n)}, "b": {s: 9.0 + 0.02 * s for s in range(n)}}
    (found,) = compare_with_best(rows, "lower").others
    assert sign_flip([1.0] * n) == found.sign_flip_p == found.smallest_p == least


def test_holm_by_hand_and_against_its_definition():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    ps = np.random.default_rng(0).uniform(size=12) ** 3
    for level in (0.01, 0.05, 0.2):
        order, rejected = np.argsort(ps), set()
        for rank, i in enumerate(order):  # stops at the first that is not rejected
            if ps[i] > level / (12 - rank):
                break
            rejected.add(i)
        assert {i for i, p in enumerate(holm(ps.tolist())) if p <= level} == rejected


def test_the_best_and_what_cannot_be_told_from_it():
    rows = {
        "far": {0: 9.0, 1: 9.1, 2: 8.9, 3: 9.05},
        "best": {0: 1.0, 1: 1.2, 2: 0.9, 3: 1.0},
        "near": {0: 1.1, 1: 1.1, 2: 1.0, 3: None},
        "failed": {0: None, 1: float("inf"), 2: None, 3: None},
    }
    found = compare_with_best(rows, "lower")
    assert found.best == "best"
    assert found.not_told_apart == ("best", "near")
    far, near = found.others
    assert (far.n, far.dropped, near.n, near.dropped) == (4, 0, 3, 1)
    assert far.difference == pytest.approx(9.0125 - 1.025)
    assert far.interval[0] < far.difference < far.interval[1]
    assert compare_with_best(rows, "higher").best == "far"


def test_without_pairs_there_is_no_comparison():
    assert compare_with_best({"a": {0: 1.0}, "b": {0: 2.0}}, "lower") is None
    assert compare_with_best({"a": {0: 1.0, 1: 2.0}}, "lower") is None
    assert compare_with_best({"a": {0: None}, "b": {}}, "lower") is None


def test_a_row_that_was_not_tested_is_neither_best_nor_near():
    rows = {
        "lucky": {0: 0.1, 1: None, 2: None},
        "best": {0: 1.0, 1: 1.2, 2: 0.9},
        "alone": {0: 1000.0, 1: None, 2: None},
        "far": {0: 5.0, 1: 5.1, 2: 5.2},
    }
    found = compare_with_best(rows, "lower")
    assert found.best == "best"
    assert found.not_told_apart == ("best",)
    by_label = {c.label: c for c in found.others}
    assert (by_label["alone"].p, by_label["alone"].dropped) == (None, 2)
    assert by_label["far"].is_told_apart


def test_what_a_column_resolves():
    """Differences beyond it are told apart, those below are not: at its edge p is the level."""
    base = [0.3, -0.1, 0.2, 0.05, -0.2]
    spread = np.array([0.1, -0.3, 0.25, 0.0, -0.05])
    rows = {"a": dict(enumerate(base)), "b": dict(enumerate(base + spread - spread.mean()))}
    edge = compare_with_best(rows, "lower").resolved
    for factor, apart in ((0.99, False), (1.01, True)):
        rows["b"] = dict(enumerate(base + spread - spread.mean() + factor * edge))
        assert compare_with_best(rows, "lower").others[0].is_told_apart is apart


def test_holm_is_that_of_statsmodels():
    """multipletests(ps, method="holm") of statsmodels 0.15.0."""
    ps = [0.011, 0.02, 0.0004, 0.3, 0.049, 0.02, 0.8, 0.0061]
    wanted = [0.066, 0.1, 0.0032, 0.6, 0.147, 0.1, 0.8, 0.0427]
    assert holm(ps) == pytest.approx(wanted)
