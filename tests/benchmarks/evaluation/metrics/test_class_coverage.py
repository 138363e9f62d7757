"""Class coverage: hand-worked KL against a uniform and an empirical reference."""

import math

import pytest
import torch

from benchmarks.evaluation.features.base import Features
from benchmarks.evaluation.metrics.class_coverage import ClassCoverage


def scores(fake, real=(), uniform=False):
    metric = ClassCoverage(4, uniform)
    for side, classes in (("fake", fake), ("real", real), ("train", [3, 3])):
        for c in classes:
            logits = torch.zeros(1, 4)
            logits[0, c] = 5
            metric.update(Features(torch.zeros(1, 2), logits), torch.tensor([0]), side)
    return {name: value.item() for name, value in metric.compute().items()}


def test_hand_worked_against_real_images():
    found = scores(fake=[0, 0, 0, 1], real=[0, 1, 1, 2])
    assert (found["classes"], found["missing_classes"]) == (2, 1)
    expected = 0.75 * math.log(0.75 / 0.25) + 0.25 * math.log(0.25 / 0.5)
    assert found["class_kl"] == pytest.approx(expected)


def test_hand_worked_against_uniform():
    found = scores(fake=[0, 0, 0, 1], uniform=True)
    assert (found["classes"], found["missing_classes"]) == (2, 2)
    assert found["class_kl"] == pytest.approx(0.75 * math.log(3) + 0.25 * math.log(1))


def test_missing_classes_are_those_of_the_reference():
    """A class that no real image has does not make up for one that is missing."""
    found = scores(fake=[3, 3], real=[0, 1])
    assert (found["classes"], found["missing_classes"]) == (1, 2)


def test_the_same_histogram_has_no_divergence():
    for count in range(1, 30):
        classes = [0] * count + [1, 2, 2]
        assert 0 <= scores(classes, classes)["class_kl"] < 1e-12


def test_the_floor_of_perfect_samples():
    """(classes - 1) / (2 samples) in expectation."""
    rng = torch.Generator().manual_seed(0)
    metric = ClassCoverage(1000, uniform=True)
    which = torch.randint(1000, (26_000,), generator=rng)
    logits = torch.nn.functional.one_hot(which, 1000)
    metric.update(Features(torch.zeros(26_000, 1), logits), torch.arange(26_000))
    assert metric.compute()["class_kl"].item() == pytest.approx(999 / 52_000, rel=0.1)


def test_refusals():
    assert scores(fake=[0, 3], real=[0, 1])["class_kl"] == math.inf
    with pytest.raises(ValueError, match="num_classes must be that of the logits, 5, got 4"):
        ClassCoverage(4, True).update(
            Features(torch.zeros(1, 2), torch.zeros(1, 5)), torch.tensor([0])
        )
    with pytest.raises(ValueError, match="at least 1 sample and 1 real image, got none"):
        scores(fake=[], real=[0])
    with pytest.raises(ValueError, match="class coverage needs logits"):
        ClassCoverage(4, True).update(Features(torch.zeros(1, 2)), torch.tensor([0]))
