"""Observation models: they are distributions over all images, or densities that bound one."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal

from lit_models.images import LevelRange, SignedRange, UnitRange
from lit_models.likelihoods.observations import (
    BernoulliLikelihood,
    CategoricalLikelihood,
    DiscretizedLogistic,
    DiscretizedLogisticPixels,
    GaussianFixed,
    GaussianGlobal,
    GaussianPixels,
)
from lit_models.priors import NormalPrior
from lit_models.vae.lit_vae import VAE

DISCRETE = [CategoricalLikelihood, DiscretizedLogistic, DiscretizedLogisticPixels]
DENSITIES = [
    lambda levels: GaussianFixed(levels, 0.2),
    lambda levels: GaussianGlobal(levels, 0.01),
    lambda levels: GaussianPixels(levels, 0.01),
]


def parameters_for(likelihood, channels=2):
    generator = torch.Generator().manual_seed(0)
    shape = (1, likelihood.parameters_per_channel * channels, 2, 1)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def in_double(likelihood):
    return likelihood.double() if isinstance(likelihood, nn.Module) else likelihood


def all_images(levels):
    images = torch.cartesian_prod(*[torch.arange(levels)] * 4)
    return images.view(-1, 2, 2, 1)


@pytest.mark.parametrize("levels", [2, 3, 5])
@pytest.mark.parametrize("kind", DISCRETE)
def test_probabilities_sum_to_one_over_all_images(kind, levels):
    likelihood = in_double(kind(levels))
    log_p = likelihood.log_prob(all_images(levels), parameters_for(likelihood))
    assert log_p.exp().sum().item() == pytest.approx(1.0, abs=1e-12)
    assert log_p.std() > 0.1


@pytest.mark.parametrize("kind", DISCRETE)
def test_leading_axes_are_broadcast(kind):
    likelihood = kind(3)
    x = all_images(3)[:7]
    parameters = torch.randn(5, 7, likelihood.parameters_per_channel * 2, 2, 1).double()
    together = likelihood.log_prob(x, parameters)
    assert together.shape == (5, 7)
    for k in range(5):
        torch.testing.assert_close(together[k], likelihood.log_prob(x, parameters[k]))


@pytest.mark.parametrize("kind", DISCRETE)
def test_the_mean_is_that_of_the_levels(kind):
    likelihood = kind(5)
    parameters = parameters_for(likelihood) * 0.1
    mean = likelihood.mean(parameters)
    assert mean.shape == (1, 2, 2, 1)
    assert mean.min() >= 0
    assert mean.max() <= 4
    if kind is CategoricalLikelihood:
        p = likelihood.log_prob(all_images(5), parameters).exp()
        expected = (p[:, None, None, None] * all_images(5)).sum(0, keepdim=True)
        torch.testing.assert_close(mean, expected)


@pytest.mark.parametrize("build", DENSITIES)
def test_densities_are_normal_per_level(build):
    likelihood = build(4)
    parameters = parameters_for(likelihood)
    mean, sigma = likelihood._split(parameters)
    x = torch.rand(1, 2, 2, 1).double()
    expected = (Normal(mean, sigma).log_prob(x) - math.log(4)).sum()
    torch.testing.assert_close(likelihood.log_prob(x, parameters)[0], expected)


def test_a_dequantised_density_bounds_the_probability_of_the_level():
    """E_u[log density per level] <= log of its mass in the level's bin (Theis et al., 2016)."""
    likelihood = GaussianFixed(4, 0.2)
    mean = torch.full((1, 1, 1, 1), 0.4, dtype=torch.float64)
    u = (torch.arange(1000).double() + 0.5) / 1000
    for level in range(4):
        x = ((level + u) / 4).view(-1, 1, 1, 1)
        bound = likelihood.log_prob(x, mean).mean()
        normal = Normal(0.4, 0.2)
        edges = torch.tensor([level / 4, (level + 1) / 4])
        mass = normal.cdf(edges[1]) - normal.cdf(edges[0])
        assert bound < mass.log()
        assert bound > mass.log() - 0.5


@pytest.mark.parametrize(
    ("likelihood", "data_range", "message"),
    [
        (BernoulliLikelihood(), LevelRange(2), "data_range must be UnitRange for Bernoulli"),
        (CategoricalLikelihood(3), UnitRange(3), "data_range must be LevelRange for Categorical"),
        (DiscretizedLogistic(3), LevelRange(4), "must be the data's 4, got 3"),
        (GaussianFixed(3, 0.1), SignedRange(3), "data_range must be LevelRange for Gaussian"),
    ],
)
def test_ranges_that_do_not_fit_are_refused(likelihood, data_range, message):
    with pytest.raises(ValueError, match=message):
        likelihood.check_range(data_range)


@pytest.mark.parametrize(
    ("likelihood", "x", "message"),
    [
        (CategoricalLikelihood(3), torch.tensor([3]), "x must be levels 0 .. 2, got 3 .. 3"),
        (GaussianFixed(3, 0.1), torch.tensor([1.5]), "x must be dequantised"),
    ],
)
def test_data_that_do_not_fit_are_refused(likelihood, x, message):
    with pytest.raises(ValueError, match=message):
        likelihood.check_data(x)


def test_a_deviation_must_be_positive():
    with pytest.raises(ValueError, match="sigma must be > 0, got 0"):
        GaussianFixed(3, 0.0)


def test_the_highest_level_stays_below_one():
    """In float32 (255 + u) / 256 rounds to 1 for the largest u."""

    class Highest:
        def __call__(self, shape, kind):
            return torch.full(shape, 1 - 2**-24)

    likelihood = GaussianFixed(256, 0.1)
    model = VAE(None, None, likelihood, NormalPrior(2), 1.0, 0.0, None, 4, LevelRange(256))
    observed = model.observe(torch.full((1, 1, 2, 2), 255), Highest())
    likelihood.check_data(observed)
    assert observed.max() > 0.999
