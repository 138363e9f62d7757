"""Every autoregressive network: a distribution over all images, and one way to sample it."""

import itertools
import math

import pytest
import torch

from lit_models.autoregressive.sampling import sample_in_raster_order, sample_naively
from lit_models.likelihoods.logistic import log_logistic_bin
from lit_models.likelihoods.pixels import DiscretizedLogisticMixture
from lit_models.networks.causal.streaming import Spot
from lit_models.training.noise import Noise
from tests.lit_models.autoregressive.networks import (
    ALL,
    SMALL,
    bernoulli_pixel_cnn,
    build,
    gated,
    pixel_cnn_pp,
    pixel_cnn_pp_scales,
)


def all_images(shape, levels):
    count, dims = levels ** math.prod(shape), math.prod(shape)
    index = torch.arange(count)
    digits = [index // levels**d % levels for d in range(dims)]
    return torch.stack(digits, dim=1).view(-1, *shape)


@pytest.mark.parametrize(
    ("kind", "shape", "levels"),
    [
        *itertools.product(SMALL, [(1, 2, 2)], [3]),
        *itertools.product([*SMALL, bernoulli_pixel_cnn], [(1, 3, 2)], [2]),
        *itertools.product([*SMALL, bernoulli_pixel_cnn], [(3, 2, 2)], [2]),
        (pixel_cnn_pp_scales, (1, 4, 4), 2),
    ],
)
def test_probabilities_sum_to_one_over_all_images(kind, shape, levels):
    network, likelihood = build(kind, shape, levels)
    with torch.no_grad():
        p = torch.cat(
            [
                likelihood.log_prob(x, network(x)).exp()
                for x in all_images(shape, levels).split(8192)
            ]
        )
    assert p.sum().item() == pytest.approx(1.0, abs=1e-10)
    assert p.max() > 1.2 * p.mean()  # and it is not the uniform model


@pytest.mark.parametrize("levels", [2, 3, 17, 256])
@pytest.mark.parametrize("kind", ALL)
def test_cached_parameters_are_the_naive_ones(kind, levels):
    """In the order of sampling, group by group, to 1e-5 in float32 and to rounding in float64."""
    shape = (3, 4, 4) if levels < 256 else (1, 4, 4)
    network, _ = build(kind, shape, levels)
    x = torch.randint(0, levels, (2, *shape))
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        network.to(dtype)
        with torch.no_grad():
            expected = network(x)
            found = torch.full_like(expected, float("nan"))
            share = shape[0] // network.groups
            levels_so_far, memory = torch.zeros_like(x), {}
            for i in range(4):
                network.start_row(levels_so_far, i, memory)
                for j in range(4):
                    spot = Spot(i, j, (4, 4), memory)
                    for g in range(network.groups):
                        found[:, :, g, i, j] = network.at(levels_so_far, spot)[:, :, g]
                        own = slice(g * share, (g + 1) * share)
                        levels_so_far[:, own, i, j] = x[:, own, i, j]
        scale = expected.abs().max().item()
        torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * max(1, scale))


@pytest.mark.parametrize("shape", [(1, 8, 4), (3, 4, 4)])
@pytest.mark.parametrize("kind", ALL)
def test_cached_samples_are_the_naive_ones(kind, shape):
    network, likelihood = build(kind, shape, 17)
    noise = [Noise(torch.Generator().manual_seed(3), dtype=torch.float64) for _ in range(2)]
    with torch.no_grad():
        cached = sample_in_raster_order(network, likelihood, (5, *shape), noise[0])
        naive = sample_naively(network, likelihood, (5, *shape), noise[1])
    assert torch.equal(cached, naive)
    assert len(cached.unique()) > 4


@pytest.mark.parametrize("spatial", [False, True])
def test_a_condition_changes_parameters_and_is_cached(spatial):
    network, likelihood = build(gated, (1, 4, 4), 3, conditions=2)
    side = 4 if spatial else 1
    condition = torch.randn(5, 2, side, side).double()
    noise = [Noise(torch.Generator().manual_seed(3), dtype=torch.float64) for _ in range(3)]
    with torch.no_grad():
        cached, naive, other = (
            sampler(network, likelihood, (5, 1, 4, 4), n, c)
            for sampler, n, c in zip(
                (sample_in_raster_order, sample_naively, sample_naively),
                noise,
                (condition, condition, -condition),
                strict=True,
            )
        )
    assert torch.equal(cached, naive)
    assert not torch.equal(naive, other)
    with pytest.raises(ValueError, match="condition must have 2 features, got 0"):
        network(cached)


@pytest.mark.parametrize("kind", ALL)
def test_completions_keep_what_is_given(kind):
    network, likelihood = build(kind, (1, 4, 4), 5)
    whole = sample_naively(network, likelihood, (3, 1, 4, 4), seeded(1)).detach()
    given = whole.clone()
    given.flatten(2)[:, :, 6:] = 0
    with torch.no_grad():
        found = sample_in_raster_order(
            network, likelihood, (3, 1, 4, 4), seeded(1), given=given, num_given=6
        )
    assert torch.equal(found, whole)  # the same uniforms complete it to the same image


def seeded(seed):
    return Noise(torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("levels", [2, 3, 17, 256])
@pytest.mark.parametrize("log_scale", [-7.0, 0.0, 5.0])
@pytest.mark.parametrize("mean", [-30.0, -1.0, 0.3, 30.0])
def test_the_logistic_sums_to_one_over_all_levels(levels, mean, log_scale):
    k = torch.arange(levels)
    log_p = log_logistic_bin(k, torch.tensor(mean), torch.tensor(log_scale), levels)
    assert log_p.isfinite().all()
    assert log_p.double().exp().sum().item() == pytest.approx(1.0, abs=1e-5)  # float32


def test_a_scale_beyond_all_levels_stays_finite():
    log_scale = torch.tensor([30.0, 200.0], requires_grad=True)
    log_p = log_logistic_bin(torch.tensor(1), torch.tensor(0.0), log_scale, 3)
    log_p.sum().backward()
    assert log_p.isfinite().all()
    assert log_scale.grad.isfinite().all()


def test_the_logistic_bin_by_hand():
    """Level 1 of 3 lies at 0, its bin is (-1/2, 1/2): s(.5) - s(-.5) for the standard logistic."""
    found = log_logistic_bin(torch.tensor(1), torch.tensor(0.0), torch.tensor(0.0), 3).exp()
    assert found.item() == pytest.approx(1 / (1 + math.exp(-0.5)) - 1 / (1 + math.exp(0.5)))


def test_draws_of_the_mixture_follow_its_probabilities():
    """All 4^2 values of a pixel of two channels over 40,000 draws; 15 degrees of freedom."""
    network, likelihood = build(pixel_cnn_pp, (2, 1, 1), 4)
    n = 40_000
    with torch.no_grad():
        x = sample_in_raster_order(network, likelihood, (n, 2, 1, 1), seeded(0))
        images = all_images((2, 1, 1), 4)
        expected = likelihood.log_prob(images, network(images)).exp() * n
    observed = (x[:, 0] + 4 * x[:, 1]).flatten().bincount(minlength=16)
    assert ((observed - expected).square() / expected).sum() < 44  # its 1e-4 quantile


def test_a_uniform_model_has_log2_of_the_levels():
    """8 bits per dimension on 8-bit images, 1 on binary ones."""
    for levels, bits in ((256, 8.0), (2, 1.0)):
        network, likelihood = build(gated, (3, 4, 4), levels)
        for p in network.head[-1].parameters():
            p.data.zero_()
        x = torch.randint(0, levels, (2, 3, 4, 4))
        with torch.no_grad():
            nats = -likelihood.log_prob(x, network(x))
        torch.testing.assert_close(nats / 48 / math.log(2), torch.full((2,), bits).double())


def test_a_mixture_refuses_a_network_of_other_outputs():
    with pytest.raises(ValueError, match="network must give 30 parameters per pixel"):
        DiscretizedLogisticMixture(3, 256).check_network(10, 1, 3, 256)
