"""The VAE against closed forms: a linear-Gaussian model, an enumerable code, a plain loop."""

import copy
import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from datamodules.base import BatchStream
from lit_models.images import UnitRange
from lit_models.likelihoods.densities import normal_log_prob
from lit_models.likelihoods.observations import BernoulliLikelihood
from lit_models.networks.dense.mlp import MLP
from lit_models.priors import NormalPrior
from lit_models.training.noise import StepNoise
from lit_models.vae.bounds import importance_weighted_bound
from lit_models.vae.lit_vae import VAE
from lit_models.vae.posteriors import DiagonalNormal, Exponential
from tests.helpers import assert_same_state, bare_trainer


def make(kl_weight=1.0, **settings):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), MLP(4, 6, [8]))
    decoder = nn.Sequential(MLP(3, 4, [8]), nn.Unflatten(1, (1, 2, 2)))
    adam = partial(torch.optim.Adam, lr=1e-2, fused=True)
    likelihood = BernoulliLikelihood()
    return VAE(
        *(encoder, decoder, likelihood, NormalPrior(3), kl_weight, 1e-6, adam, 5, UnitRange(2)),
        **settings,
    )


def data():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 2, (20, 1, 2, 2), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("kl_weight", [1.0, 3.0])
def test_equals_a_plain_loop(kl_weight):
    model = make(kl_weight)
    expected = copy.deepcopy(model)
    labels = torch.zeros(20, dtype=torch.long)
    bare_trainer(4).fit(model, BatchStream(data(), labels, 5))

    optimizer, noise = expected.configure_optimizers(), StepNoise(0)
    for step, (batch, _) in zip(range(4), BatchStream(data(), labels, 5), strict=False):
        noise.start(5 * step)
        x = batch.float()
        mu, raw = expected.encoder(x).chunk(2, dim=1)
        sigma = nn.functional.softplus(raw) + 1e-6
        logits = expected.decoder(mu + sigma * noise((5, 3)))
        bce = nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
        kl = 0.5 * (mu**2 + sigma**2 - 1 - (sigma**2).log()).sum(1)
        loss = bce.flatten(1).sum(1).mean() + kl_weight * kl.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert_same_state(model.state_dict(), expected.state_dict(), rtol=1e-5, atol=1e-6)


def test_deviations_by_an_exponential():
    x = data().float()
    plain, model = make(), make(deviation=Exponential())
    mu, raw = model.encoder(x).chunk(2, dim=1)
    torch.testing.assert_close(model.posterior(x).mu, mu)
    torch.testing.assert_close(model.posterior(x).sigma, raw.exp() + 1e-6)
    torch.testing.assert_close(plain.posterior(x).sigma, nn.functional.softplus(raw) + 1e-6)


def test_the_last_bias_begins_at_the_mean_logit_of_each_pixel():
    x = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, 1], [0, 1, 0, 1]], dtype=torch.uint8)
    plain, model = make(), make(bias_from_data=True)
    for each in (plain, model):
        each.begin_from(x.reshape(4, 1, 2, 2))
    (*_, last) = [m for m in model.decoder.modules() if isinstance(m, nn.Linear)]
    edge = math.log(0.001 / 0.999)
    torch.testing.assert_close(last.bias, torch.tensor([edge, 0.0, 0.0, -edge]))
    last.bias.data.copy_([m for m in plain.decoder.modules() if isinstance(m, nn.Linear)][-1].bias)
    assert_same_state(model.state_dict(), plain.state_dict())
    with pytest.raises(ValueError, match="bias_from_data must be null unless the decoder ends in"):
        model.begin_from(torch.zeros(2, 1, 3, 3, dtype=torch.uint8))


def test_kl_against_torch():
    torch.manual_seed(0)
    q = DiagonalNormal.from_features(torch.randn(7, 6).double(), min_sigma=1e-6)
    normal = torch.distributions.Normal(q.mu, q.sigma)
    standard = torch.distributions.Normal(torch.zeros(3).double(), torch.ones(3).double())
    expected = torch.distributions.kl_divergence(normal, standard).sum(1)
    torch.testing.assert_close(q.kl_to_standard_normal(), expected)
    z = q.transform(torch.randn(7, 3).double())
    torch.testing.assert_close(q.log_prob(z), normal.log_prob(z).sum(1))


class LinearGaussian(nn.Module):
    """p(x | z) = N(z, s^2 I): everything about it is known in closed form."""

    def __init__(self, s):
        super().__init__()
        self.s = s

    def log_prob(self, x: Tensor, parameters: Tensor) -> Tensor:
        return normal_log_prob(x, parameters, torch.full_like(parameters, self.s))

    dequantised = False

    def maps(self, channels: int) -> int:
        return channels

    def check_data(self, x: Tensor) -> None:
        pass

    def check_range(self, data_range) -> None:
        pass


def linear_gaussian(shift):
    """p(x) = N(0, (1 + s^2) I) with s = 1/2; shift 0 gives the exact posterior."""
    s = 0.5
    gain, sigma = 1 / (1 + s**2), s / math.sqrt(1 + s**2)

    class Encoder(nn.Module):
        def forward(self, x):
            raw = math.log(math.expm1(sigma))
            return torch.cat([gain * x + shift, torch.full_like(x, raw)], dim=1)

    model = VAE(
        Encoder(),
        nn.Identity(),
        LinearGaussian(s),
        NormalPrior(2),
        1.0,
        0.0,
        None,
        4,
        UnitRange(2),
    )
    x = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0)).double()
    exact = normal_log_prob(x, torch.zeros_like(x), torch.full_like(x, math.sqrt(1 + s**2)))
    return model.double(), x, exact


def bound(model, x, k, seed=0):
    return model.log_likelihood(x, torch.Generator().manual_seed(seed), k)


def test_with_the_exact_posterior_the_bound_is_log_p_for_every_draw():
    model, x, exact = linear_gaussian(shift=0.0)
    for k in (1, 5):
        torch.testing.assert_close(bound(model, x, k), exact)


def test_with_another_posterior_it_is_below_and_rises_with_k():
    model, x, exact = linear_gaussian(shift=0.3)
    means = [bound(model, x, k).mean().item() for k in (1, 5, 50)]
    assert means == sorted(means)
    assert means[-1] < exact.mean()
    # the ELBO's gap is KL(q, posterior) = |shift|^2 / (2 sigma^2), sigma^2 = .2, two dimensions
    gap = 2 * 0.3**2 / (2 * 0.2)
    noise_of_gap = 5 * (2 * 0.3**2 / 0.2 / 2000) ** 0.5
    assert exact.mean().item() - means[0] == pytest.approx(gap, abs=noise_of_gap)


def test_importance_weighted_bound_by_hand():
    log_weights = torch.tensor([[1.0, 4.0], [3.0, 0.0]]).double().log()
    torch.testing.assert_close(
        importance_weighted_bound(log_weights), torch.tensor([2.0, 2.0]).double().log()
    )


def test_bernoulli_probabilities_sum_to_one_over_all_images():
    logits = torch.randn(1, 1, 2, 2, dtype=torch.float64)
    images = torch.cartesian_prod(*[torch.tensor([0.0, 1.0]).double()] * 4).view(16, 1, 2, 2)
    total = BernoulliLikelihood().log_prob(images, logits.expand(16, -1, -1, -1)).exp().sum()
    torch.testing.assert_close(total.item(), 1.0)


def test_likelihood_of_grey_images_is_refused():
    with pytest.raises(ValueError, match="x must be binary"):
        bound(make(), torch.full((1, 1, 2, 2), 0.5), 1)
    with pytest.raises(ValueError, match="generator must be given"):
        make().log_likelihood(torch.zeros(1, 1, 2, 2))


def test_samples_are_the_decoders_mean():
    model = make().eval()
    x = model.sample(6, torch.Generator().manual_seed(0))
    assert x.shape == (6, 1, 2, 2)
    assert 0 < x.min() < x.max() < 1


def test_refuses_a_negative_weight():
    with pytest.raises(ValueError, match="kl_weight must be >= 0"):
        make(-1.0)
