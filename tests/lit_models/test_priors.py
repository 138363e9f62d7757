"""Priors by their bounds and shapes."""

import torch

from lit_models.noise import Noise
from lit_models.priors import NormalPrior, UniformPrior


def noise():
    return Noise(torch.Generator().manual_seed(0))


def test_uniform_spans_its_interval():
    z = UniformPrior(dim=4, low=-1.0, high=1.0)(noise(), 5000)
    assert z.shape == (5000, 4)
    assert z.min() >= -1
    assert z.max() < 1
    # a uniform's deviation; 5 standard errors of it are below .01
    torch.testing.assert_close(z.std().item(), 3**-0.5, rtol=0, atol=0.01)


def test_normal_is_the_noise_itself():
    z = NormalPrior(dim=3)(noise(), 7)
    assert torch.equal(z, noise()((7, 3), "normal"))
