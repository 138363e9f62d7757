"""Mode coverage: hand-worked, the ceiling of perfect data, collapse."""

import math

import numpy as np
import pytest
import torch

from benchmarks.evaluation.metrics.mode_coverage import ModeCoverage

MODES = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])


def scores(x, kl_of_high_quality=False, modes=MODES, std=1.0):
    metric = ModeCoverage(modes, std, num_std=3, kl_of_high_quality=kl_of_high_quality)
    for part in x.split(3):
        metric.update(part)
    return {name: value.item() for name, value in metric.compute().items()}


def test_hand_worked():
    """Two in the first mode, one in the second, one near the third but 4 deviations away."""
    x = torch.tensor([[0.0, 0.0], [1.0, 1.0], [10.0, 2.9], [0.0, 14.0]])
    all_samples, inner = scores(x), scores(x, kl_of_high_quality=True)
    assert all_samples["modes"] == inner["modes"] == 2
    assert all_samples["high_quality_percent"] == inner["high_quality_percent"] == 75
    # shares 1/2, 1/4, 1/4, 0 against 1/4 each; and 2/3, 1/3, 0, 0
    assert all_samples["reverse_kl"] == pytest.approx(math.log(4) - 1.5 * math.log(2))
    expected = math.log(4) + 2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3)
    assert inner["reverse_kl_high_quality"] == pytest.approx(expected)


def test_perfect_data_reach_989_percent():
    """1 - exp(-3^2 / 2) = .98889 of a two-dimensional Gaussian."""
    rng = torch.Generator().manual_seed(0)
    which = torch.randint(4, (200_000,), generator=rng)
    x = torch.from_numpy(MODES)[which] + torch.randn(200_000, 2, generator=rng)
    metric = ModeCoverage(MODES, 1.0, num_std=3, kl_of_high_quality=False)
    metric.update(x)
    found = metric.compute()
    assert found["modes"] == 4
    expected = 100 * (1 - math.exp(-4.5))
    assert found["high_quality_percent"].item() == pytest.approx(expected, abs=0.1)
    assert found["reverse_kl"].item() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("modes", [3, 7, 25, 49])
def test_equal_shares_have_no_divergence(modes):
    """Rounding takes some of them below zero."""
    places = np.arange(2.0 * modes).reshape(-1, 2) * 10
    assert 0 <= scores(torch.from_numpy(places), modes=places)["reverse_kl"] < 1e-12


def test_collapse_and_garbage():
    one = scores(torch.zeros(50, 2))
    assert (one["modes"], one["high_quality_percent"]) == (1, 100)
    assert one["reverse_kl"] == pytest.approx(math.log(4))
    far = scores(torch.full((50, 2), 5.1), kl_of_high_quality=True)
    assert (far["modes"], far["high_quality_percent"]) == (0, 0)
    assert math.isnan(far["reverse_kl_high_quality"])


def test_refusals():
    with pytest.raises(ValueError, match="std and num_std must be > 0, got 0 and 3"):
        ModeCoverage(MODES, 0, 3, False)
    with pytest.raises(ValueError, match="needs at least 1 sample, got 0"):
        ModeCoverage(MODES, 1, 3, False).compute()
