"""PixelVAE: the decoder is a distribution given z, and the whole a bound."""

import pytest
import torch
from torch import nn

from lit_models.autoregressive.sampling import sample_naively
from lit_models.hybrid.pixel_vae import AutoregressiveLikelihood
from lit_models.images import LevelRange, UnitRange
from lit_models.likelihoods.pixels import CategoricalPixels
from lit_models.networks.causal.gated_pixel_cnn import GatedPixelCNN
from lit_models.networks.dense.image_mlp import ImageDecoder, ImageEncoder
from lit_models.priors import NormalPrior
from lit_models.training.noise import Noise, StepNoise
from lit_models.vae.lit_vae import VAE
from tests.lit_models.autoregressive.test_networks import all_images

SHAPE = (1, 2, 2)
COLOUR = (3, 1, 2)


def make(shape=SHAPE):
    torch.manual_seed(0)
    network = GatedPixelCNN(shape, 3, 6, 2, 3, 3, 6, condition_features=2)
    likelihood = AutoregressiveLikelihood(network, CategoricalPixels(), 3, shape[0])
    model = VAE(
        ImageEncoder(shape, 4, [8]),
        ImageDecoder((2, *shape[1:]), 2, [8], 1),
        likelihood,
        NormalPrior(2),
        1.0,
        1e-6,
        None,
        4,
        LevelRange(3),
    )
    for p in [*network.parameters(), *model.decoder.parameters()]:
        p.data.add_(0.5 * torch.randn_like(p))
    return model.double().eval()


@pytest.mark.parametrize("shape", [SHAPE, COLOUR])
def test_probabilities_given_z_sum_to_one(shape):
    model = make(shape)
    images = all_images(shape, 3)
    z = torch.randn(2, 1, 2).double().expand(2, len(images), 2)
    with torch.no_grad():
        p = model.log_prob(images, z, None).exp()
    torch.testing.assert_close(p.sum(1), torch.ones(2).double())
    assert not torch.allclose(p[0], p[1])


def test_the_bound_is_a_bound():
    """Log p(x) of all images by quadrature; bounds are below it, and near it with K."""
    model = make()
    model.encoder.layers[-1].bias.data[2:] += 1.5  # wider than the posterior: low variance
    images = all_images(SHAPE, 3)
    axis = torch.linspace(-5, 5, 51).double()
    z = torch.cartesian_prod(axis, axis)
    weight = (-0.5 * z.square().sum(1)).softmax(0)
    with torch.no_grad():
        maps = model.log_prob(images, z[:, None].expand(-1, len(images), -1), None)
        exact = (maps + weight.log()[:, None]).logsumexp(0)
        bounds = [
            model.log_likelihood(images, torch.Generator().manual_seed(0), k) for k in (1, 5000)
        ]
    assert exact.exp().sum().item() == pytest.approx(1.0, abs=1e-6)
    assert bounds[0].mean() < bounds[1].mean() < exact.mean() + 0.01
    assert (exact - bounds[1]).abs().max() < 0.1


@pytest.mark.parametrize("shape", [SHAPE, COLOUR])
def test_samples_are_drawn_given_the_maps(shape):
    model = make(shape)
    samples = model.sample(5, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        z = model.prior(Noise(generator, dtype=torch.float64), 5)
        maps = model.decoder(z)
        noise = Noise(generator, dtype=torch.float64)
        likelihood = model.likelihood
        naive = sample_naively(likelihood.network, likelihood.pixels, (5, *shape), noise, maps)
    assert torch.equal(samples, naive)


def test_it_is_trained_on_colour():
    model = make(COLOUR)
    images = all_images(COLOUR, 3)
    noise = StepNoise(0, dtype=torch.float64)
    noise.start(0)
    model.noise = noise
    loss = model.train_step(images[:9], torch.zeros(9, dtype=torch.long))
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_refuses_other_ranges():
    with pytest.raises(ValueError, match="data_range must be LevelRange of 3 levels"):
        make().likelihood.check_range(UnitRange(3))
    assert isinstance(make().likelihood, nn.Module)
