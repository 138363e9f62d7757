"""The classifier score: bounds reached in closed form, parity, splits by global index."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_isc import isc_features_to_metric

from benchmarks.evaluation.features.base import Features
from benchmarks.evaluation.metrics.classifier_score import ClassifierScore


def score(logits, splits=1, chunk=16):
    metric = ClassifierScore(logits.shape[1], len(logits), splits)
    for index in torch.arange(len(logits)).split(chunk):
        metric.update(Features(logits[index], logits[index]), index)
    return metric.compute().item()


def test_certain_and_balanced_gives_the_number_of_classes():
    logits = 1e4 * torch.eye(5).repeat(4, 1)
    assert score(logits) == pytest.approx(5.0)


def test_uniform_or_constant_predictions_give_one():
    assert score(torch.zeros(20, 5)) == pytest.approx(1.0)
    generator = torch.Generator().manual_seed(0)
    for classes in range(2, 40):  # rounding takes some of their divergences below zero
        constant = torch.randn(1, classes, generator=generator).expand(30, classes)
        assert score(constant, splits=3) >= 1
    assert score(torch.randn(1, 5).expand(20, 5)) == pytest.approx(1.0)


def test_value_by_hand():
    """P = (.9, .1) and (.5, .5): marginal (.7, .3)."""
    p = torch.tensor([[0.9, 0.1], [0.5, 0.5]], dtype=torch.float64)
    m = torch.tensor([0.7, 0.3], dtype=torch.float64)
    expected = ((p * (p / m).log()).sum(1).mean()).exp().item()
    assert score(p.log()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("splits", [1, 4, 3, 7, 199])  # 200 samples: the last three do not divide
def test_parity_with_torch_fidelity(splits):
    logits = 3 * torch.randn(200, 10, generator=torch.Generator().manual_seed(0))
    theirs = isc_features_to_metric(logits, splits=splits, shuffle=False)
    expected = theirs["inception_score_mean"]
    assert score(logits, splits) == pytest.approx(expected, rel=1e-6)
    assert score(logits, splits, chunk=7) == pytest.approx(expected, rel=1e-6)


def test_parity_with_torch_fidelitys_seeded_shuffle():
    """It shuffles before it splits; here the splits go by the index."""
    logits = 3 * torch.randn(200, 10, generator=torch.Generator().manual_seed(0))
    theirs = isc_features_to_metric(logits, splits=4, shuffle=True, rng_seed=2020)
    order = np.random.RandomState(2020).permutation(200)
    metric = ClassifierScore(10, 200, 4)
    metric.update(Features(logits, logits), torch.from_numpy(np.argsort(order)))
    expected = theirs["inception_score_mean"]
    assert metric.compute().item() == pytest.approx(expected, rel=1e-6)
    assert expected != pytest.approx(score(logits, 4), rel=1e-6)


def test_order_of_arrival_does_not_matter():
    logits = torch.randn(40, 3)
    metric = ClassifierScore(3, 40, 4)
    for index in torch.randperm(40).split(9):
        metric.update(Features(logits[index], logits[index]), index)
    assert metric.compute().item() == pytest.approx(score(logits, 4), rel=1e-12)


def test_missing_samples_and_logits_are_refused():
    metric = ClassifierScore(3, 40, 1)
    metric.update(Features(torch.zeros(8, 3), torch.zeros(8, 3)), torch.arange(8))
    with pytest.raises(ValueError, match="needs 40 samples, got 8"):
        metric.compute()
    with pytest.raises(ValueError, match="needs logits"):
        metric.update(Features(torch.zeros(8, 3)), torch.arange(8))
    with pytest.raises(ValueError, match="num_splits must be in 1 .. 5, got 6"):
        ClassifierScore(3, 5, 6)
