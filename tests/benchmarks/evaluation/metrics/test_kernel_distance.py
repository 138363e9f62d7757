"""Kernel distance: parity, closed form, unbiasedness, refusal."""

import pytest
import torch
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD
from torch_fidelity.metric_kid import kid_features_to_metric as theirs_of

from benchmarks.evaluation.metrics.kernel_distance import KernelDistance, polynomial_mmd
from tests.benchmarks.evaluation.metrics.panel import fed, gaussian


def value(real, fake, subsets=20, size=100, seed=2020):
    return fed(KernelDistance(subsets, size, seed), real=real, fake=fake).compute()


def test_hand_worked():
    """In one dimension with k(a, b) = (ab + 1)^3."""
    x, y = torch.tensor([[0.0], [1.0]]).double(), torch.tensor([[1.0], [2.0]]).double()
    # within: k(0, 1) = 1 and k(1, 2) = 27; between: 1, 1, 8, 27
    assert polynomial_mmd(x, y).item() == pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4)


def test_parity_with_torch_fidelity():
    real, fake = gaussian(0, n=300), gaussian(1, n=250, shift=0.3)
    theirs = theirs_of(fake, real, kid_subsets=20, kid_subset_size=100, verbose=False)
    ours = value(real, fake)
    assert ours["kernel_distance"].item() == pytest.approx(theirs[KEY_METRIC_KID_MEAN], rel=1e-9)
    assert ours["subset_std"].item() == pytest.approx(theirs[KEY_METRIC_KID_STD], rel=1e-9)
    swapped = value(fake, real)["kernel_distance"].item()
    assert swapped != pytest.approx(theirs[KEY_METRIC_KID_MEAN], rel=1e-3)


def test_it_is_unbiased():
    """Zero in expectation for one distribution, on either side of it."""
    values = torch.tensor(
        [
            value(gaussian(2 * i, n=60), gaussian(2 * i + 1, n=60), 1, 60)["kernel_distance"]
            for i in range(200)
        ]
    )
    assert values.mean().item() == pytest.approx(0, abs=3 * values.std().item() / 200**0.5)
    assert (values < 0).any()


def test_refusals():
    with pytest.raises(ValueError, match="subsets must be >= 1 and subset_size >= 2, got 0 and 1"):
        KernelDistance(0, 1, 0)
    with pytest.raises(ValueError, match="KernelDistance needs at least 100 real samples, got 99"):
        value(gaussian(0, n=99), gaussian(1))
