"""Bits per dimension by hand: a sum over images divided by their count, whatever the batches."""

import math

import pytest
import torch

from benchmarks.evaluation.metrics.bits_per_dim import BitsPerDim


def test_uniform_model_has_log2_levels_in_uneven_batches():
    metric = BitsPerDim()
    for size in (10, 10, 3):
        metric.update(torch.full((size,), -64 * math.log(17), dtype=torch.float64), num_dims=64)
    assert metric.compute().item() == pytest.approx(math.log2(17), rel=1e-12)


def test_it_is_no_mean_of_batch_means():
    metric = BitsPerDim()
    metric.update(-math.log(2) * torch.tensor([1.0, 1.0, 1.0]), num_dims=1)
    metric.update(-math.log(2) * torch.tensor([5.0]), num_dims=1)
    assert metric.compute().item() == pytest.approx(2.0, rel=1e-6)


def test_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 1 image, got 0"):
        BitsPerDim().compute()
