"""Priors by their bounds and shapes."""

import torch

from lit_models.priors import NormalPrior, UniformPrior
from lit_models.training.noise import Noise


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


def test_projection_is_the_nearest_point_of_the_support():
    z = torch.tensor([[-3.0, 0.25, 3.0]])
    assert torch.equal(NormalPrior(dim=3).project(z), z)
    expected = torch.tensor([[-1.0, 0.25, 1.0]])
    assert torch.equal(UniformPrior(dim=3, low=-1.0, high=1.0).project(z), expected)
