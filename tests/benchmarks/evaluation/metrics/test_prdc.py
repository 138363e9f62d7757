"""Precision, recall, density, coverage: hand-worked, parity, direction, refusal."""

import pytest
import torch
from prdc import compute_prdc
from torch_fidelity.metric_prc import calculate_precision_recall_full

from benchmarks.evaluation.metrics import neighbours
from benchmarks.evaluation.metrics.prdc import PRDC
from tests.benchmarks.evaluation.metrics.panel import fed, gaussian


def scores(real, fake, k_precision=3, k_density=5):
    found = fed(PRDC(k_precision, k_density), real=real, fake=fake).compute()
    return {name: value.item() for name, value in found.items()}


def test_hand_worked_on_a_line():
    """Real 0, 1, 3 have radii 1, 1, 2 (k = 1); samples .5, 1.5, 10, 10.5 have 1, 1, .5, .5."""
    real = torch.tensor([[0.0], [1.0], [3.0]]).double()
    fake = torch.tensor([[0.5], [1.5], [10.0], [10.5]]).double()
    assert scores(real, fake, 1, 1) == pytest.approx(
        # .5 lies in the balls of 0 and 1; 1.5 in those of 1 and 3; 3 is further than 1 from 1.5
        {"precision": 2 / 4, "recall": 2 / 3, "density": 4 / 4, "coverage": 3 / 3}
    )


def test_parity_with_prdc_and_torch_fidelity_on_asymmetric_data():
    real, fake = gaussian(0, n=310), gaussian(1, n=240, shift=0.4, scale=0.6)
    ours = scores(real, fake, 3, 5)
    precision, recall = calculate_precision_recall_full(fake, real, neighborhood=3)
    assert ours["precision"] == pytest.approx(precision)
    assert ours["recall"] == pytest.approx(recall)
    assert abs(precision - recall) > 0.3  # exchanged sides would show
    theirs = compute_prdc(real.numpy(), fake.numpy(), nearest_k=5)
    assert ours["density"] == pytest.approx(theirs["density"])
    assert ours["coverage"] == pytest.approx(theirs["coverage"])
    theirs = compute_prdc(real.numpy(), fake.numpy(), nearest_k=3)
    assert ours["precision"] == pytest.approx(theirs["precision"])
    assert ours["recall"] == pytest.approx(theirs["recall"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_copies_of_real_points_are_counted_as_the_package_does(dtype, monkeypatch):
    """Distances then equal radii, and rounding must not decide (without care: density 1.1)."""
    monkeypatch.setattr(neighbours, "BLOCK", 70)  # sums round differently at the edges
    real = gaussian(0, n=600, d=192, dtype=dtype)
    half = torch.cat([real[:300], gaussian(1, n=300, d=192, dtype=dtype)])
    ten = real[:10].repeat(60, 1)
    for fake in (real.flip(0), half, ten):
        theirs = compute_prdc(real.double().numpy(), fake.double().numpy(), nearest_k=5)
        ours = scores(real, fake, 3, 5)
        assert ours["density"] == pytest.approx(theirs["density"], rel=1e-9)
        assert ours["coverage"] == pytest.approx(theirs["coverage"], rel=1e-9)
    assert scores(real, real)["density"] == pytest.approx(1, rel=1e-9)
    assert scores(real, ten)["recall"] == pytest.approx(10 / 600)  # balls of radius 0, closed


def test_the_same_distribution():
    """Density is 1 in expectation; coverage 1 - (N / 2N ...) -> 1 - 2^-k at equal counts."""
    ours = scores(gaussian(0, n=3000), gaussian(1, n=3000))
    assert ours["density"] == pytest.approx(1, abs=0.05)
    assert ours["coverage"] == pytest.approx(1 - 2**-5, abs=0.015)


def test_a_dropped_mode_lowers_recall_and_coverage_only():
    two = torch.cat([gaussian(0, n=200), gaussian(1, n=200, shift=30)])
    one = gaussian(2, n=400)
    ours = scores(two, one)
    assert ours["precision"] > 0.9
    assert ours["recall"] < 0.55
    assert ours["coverage"] < 0.55


@pytest.mark.parametrize("offset", [0, 20, 1e4])
def test_features_of_single_precision_are_compared_in_double(offset):
    real, fake = gaussian(0, n=500, d=32), gaussian(1, n=500, d=32, shift=0.1)
    real, fake = (real + offset).float(), (fake + offset).float()
    assert scores(real, fake) == scores(real.double(), fake.double())


def test_clusters_far_from_their_mean_keep_their_radii():
    """Two at +-100 of deviation .1, samples of .3: all outside of every ball (float32: 1.0)."""

    def clusters(seed, scale):
        both = [
            gaussian(seed + i, n=300, d=64, shift=s, scale=scale) for i, s in ((0, 100), (1, -100))
        ]
        return torch.cat(both).float()

    real, fake = clusters(0, 0.1), clusters(2, 0.3)
    found = scores(real, fake)
    assert found["precision"] == 0
    theirs = compute_prdc(real.double().numpy(), fake.double().numpy(), nearest_k=5)
    assert found["density"] == pytest.approx(theirs["density"])
    same = scores(real, clusters(4, 0.1))
    theirs = compute_prdc(real.double().numpy(), clusters(4, 0.1).double().numpy(), nearest_k=5)
    assert same["density"] == pytest.approx(theirs["density"])
    assert same["coverage"] == pytest.approx(theirs["coverage"])


def test_refusals():
    with pytest.raises(ValueError, match="k must be >= 1, got 0 and 5"):
        PRDC(0, 5)
    with pytest.raises(ValueError, match="PRDC needs at least 6 fake samples, got 5"):
        scores(gaussian(0), gaussian(1, n=5))
    with pytest.raises(ValueError, match="real features that differ, got constant ones"):
        scores(torch.ones(9, 2), gaussian(1))
    with pytest.raises(ValueError, match=r"finite features, got NaN or infinity \(fake"):
        scores(gaussian(0), gaussian(1) * torch.nan)
