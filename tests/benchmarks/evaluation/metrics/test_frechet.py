"""Fréchet distance: closed forms, identity, asymmetry of roles, parity, refusal."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torch_fidelity.metric_fid import (
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)
from torchmetrics.image.fid import FrechetInceptionDistance

from benchmarks.evaluation.features.base import Features
from benchmarks.evaluation.metrics import frechet
from benchmarks.evaluation.metrics.frechet import FrechetDistance, frechet_distance


def gaussian(seed, n=400, d=6, shift=0.0):
    rng = torch.Generator().manual_seed(seed)
    mix = torch.randn(d, d, generator=rng, dtype=torch.float64)
    return torch.randn(n, d, generator=rng, dtype=torch.float64) @ mix + shift


def distance(real, fake, chunk=64):
    metric = FrechetDistance(real.shape[1])
    for x, side in ((real, "real"), (fake, "fake")):
        for part in x.split(chunk):
            metric.update(Features(part), torch.arange(len(part)), side)
    return metric.compute()


def test_closed_form_of_commuting_covariances():
    """Diagonal: |mu|^2 + sum (a - b)^2 for deviations a, b."""
    mu_1, mu_2 = torch.tensor([0.0, 1.0]).double(), torch.tensor([3.0, 1.0]).double()
    cov_1, cov_2 = torch.diag(torch.tensor([4.0, 9.0])), torch.diag(torch.tensor([1.0, 16.0]))
    value = frechet_distance(mu_1, cov_1.double(), mu_2, cov_2.double())
    torch.testing.assert_close(value.item(), 9.0 + 1.0 + 1.0)


def test_it_handles_singular_covariances():
    zero = torch.zeros(2, 2).double()
    value = frechet_distance(
        torch.zeros(2).double(), zero, torch.ones(2).double(), torch.eye(2).double()
    )
    torch.testing.assert_close(value.item(), 2.0 + 2.0)


def test_identity_and_symmetry():
    a, b = gaussian(0), gaussian(1, shift=0.5)
    torch.testing.assert_close(distance(a, a).item(), 0.0, rtol=0, atol=1e-9)
    for seed in range(20):  # rounding takes some of them below zero
        same = 100 * gaussian(seed)
        assert distance(same, same) >= 0
    torch.testing.assert_close(distance(a, b), distance(b, a))
    assert distance(a, b) > 1


def test_parity_with_scipy_and_chunks_do_not_matter():
    a, b = gaussian(0), gaussian(1, shift=0.5)
    c1, c2 = np.cov(a.numpy().T), np.cov(b.numpy().T)
    root = scipy.linalg.sqrtm(c1 @ c2).real
    expected = ((a - b).mean(0) ** 2).sum().item() + np.trace(c1 + c2 - 2 * root)
    torch.testing.assert_close(distance(a, b, chunk=64).item(), float(expected))
    torch.testing.assert_close(distance(a, b, chunk=7).item(), float(expected))


def test_parity_with_torchmetrics():
    class Flat(torch.nn.Module):
        num_features = 12

        def forward(self, x):
            return x.flatten(1).double()

    rng = torch.Generator().manual_seed(0)
    images = [
        torch.randint(0, 256, (100, 3, 2, 2), generator=rng, dtype=torch.uint8) for _ in "ab"
    ]
    theirs = FrechetInceptionDistance(Flat(), input_img_size=(3, 2, 2), antialias=False)
    theirs.set_dtype(torch.float64)
    theirs.update(images[0], real=True)
    theirs.update(images[1] // 2, real=False)
    ours = distance(images[0].flatten(1).double(), (images[1] // 2).flatten(1).double())
    torch.testing.assert_close(ours.item(), theirs.compute().item(), rtol=1e-6, atol=0)


def test_parity_with_torch_fidelity():
    a, b = gaussian(0), gaussian(1, shift=0.5)
    moments = [fid_features_to_statistics(x) for x in (a, b)]
    expected = fid_statistics_to_metric(*moments, verbose=False)[KEY_METRIC_FID]
    torch.testing.assert_close(distance(a, b).item(), expected, rtol=1e-6, atol=0)


def test_pinned_value():
    value = distance(gaussian(0), gaussian(1)).item()
    torch.testing.assert_close(value, 20.318397688396, rtol=1e-9, atol=0)


@pytest.mark.parametrize("d", [3, 300, 512])
def test_blocks_leave_out_zeros_only(d):
    """F^T C F of a triangular F in blocks of 256, against the plain product."""
    rng = torch.Generator().manual_seed(0)
    factor = torch.randn(d, d, generator=rng, dtype=torch.float64).tril()
    cov = torch.randn(d, d, generator=rng, dtype=torch.float64)
    cov = cov @ cov.T
    plain = factor.T @ cov @ factor
    torch.testing.assert_close(frechet._lower_congruence(factor, cov).tril(), plain.tril())
    torch.testing.assert_close(frechet._lower_congruence(factor.T, cov), factor @ cov @ factor.T)


def test_factors_of_regular_and_singular_covariances():
    regular = gaussian(0).T.cov()
    singular = torch.diag(torch.tensor([4.0, 0.0, 1.0], dtype=torch.float64))
    for cov in (regular, singular):
        factor = frechet.covariance_factor(cov)
        torch.testing.assert_close(factor @ factor.T, cov)


@pytest.mark.parametrize(("n_real", "n_fake", "side"), [(6, 400, "real"), (400, 6, "fake")])
def test_too_few_samples_are_refused(n_real, n_fake, side):
    with pytest.raises(ValueError, match=f"needs more than 6 {side} samples, got 6"):
        distance(gaussian(0, n_real), gaussian(1, n_fake))


def test_wrong_dimension_is_refused():
    with pytest.raises(ValueError, match="features must have 6 dimensions, got 5"):
        FrechetDistance(6).update(Features(torch.zeros(2, 5)), torch.arange(2))


def test_constant_and_infinite_features_are_refused():
    a = gaussian(0)
    with pytest.raises(ValueError, match="real features that differ, got constant ones"):
        distance(torch.full_like(a, 0.3), a)
    assert distance(a, torch.full_like(a, 0.3)) > 0  # a collapsed model is a result
    for sides in ((a * torch.nan, a), (a, a * torch.inf)):
        with pytest.raises(ValueError, match="Frechet distance needs finite features"):
            distance(*sides)


def test_the_real_factor_is_that_of_the_real_features():
    """It is kept over samples, and found anew when real features come in."""
    metric = FrechetDistance(6)
    a, b, c = gaussian(0), gaussian(1), gaussian(2)
    metric.update(Features(a), torch.arange(400), "real")
    for fake in (b, c):
        metric.forget_samples()
        metric.update(Features(fake), torch.arange(400))
        torch.testing.assert_close(metric.compute(), distance(a, fake))
    metric.update(Features(b), torch.arange(400), "real")
    torch.testing.assert_close(metric.compute(), distance(torch.cat([a, b]), c))
