"""DCGAN: the paper's sizes, its guidelines, shapes at every depth."""

import pytest
import torch
from torch import nn

from lit_models.networks.convolutional.dcgan import DCGANDiscriminator, DCGANGenerator
from lit_models.networks.convolutional.infogan import initialise
from lit_models.networks.norm import GlobalBatchNorm

BN = {"bn_momentum": 0.1, "bn_eps": 1e-5}


def count(network):
    return sum(p.numel() for p in network.parameters())


def test_parameter_counts_at_64x64():
    """By hand, 5x5 kernels and biases: 100 -> 1024 x 4 x 4, then 512, 256, 128, 3 and back."""
    layers = [(1024, 512), (512, 256), (256, 128), (128, 3)]
    convolutions = sum(25 * a * b + b for a, b in layers)
    norms = 2 * (1024 + 512 + 256 + 128)
    with torch.device("meta"):
        g = DCGANGenerator(100, (3, 64, 64), 128, 4, **BN)
        d = DCGANDiscriminator((3, 64, 64), 128, 4, **BN)
    assert count(g) == 101 * 1024 * 16 + convolutions + norms
    back = sum(25 * a * b + a for a, b in layers)
    assert count(d) == back + 2 * (1024 + 512 + 256) + 1024 * 16 + 1


@pytest.mark.parametrize(
    ("shape", "depth"),
    [((1, 28, 28), 2), ((3, 32, 32), 3), ((3, 64, 64), 4), ((3, 28, 28), 4), ((1, 9, 12), 3)],
)
def test_shapes_and_range(shape, depth):
    x = DCGANGenerator(100, shape, 2, depth, **BN)(torch.randn(3, 100))
    assert x.shape == (3, *shape)
    assert x.abs().max() <= 1
    assert DCGANDiscriminator(shape, 2, depth, **BN)(x).shape == (3,)


def test_guidelines():
    """Strides instead of pooling, BatchNorm but at the ends, ReLU and tanh, leaky ReLU .2."""
    g = list(DCGANGenerator(100, (3, 32, 32), 4, 3, **BN).layers)
    d = list(DCGANDiscriminator((3, 32, 32), 4, 3, **BN).layers)
    assert isinstance(g[-1], nn.Tanh)
    assert isinstance(g[-2], nn.ConvTranspose2d)
    assert isinstance(d[0], nn.Conv2d)
    assert isinstance(d[1], nn.LeakyReLU)
    assert {m.negative_slope for m in d if isinstance(m, nn.LeakyReLU)} == {0.2}
    assert sum(isinstance(m, GlobalBatchNorm) for m in g) == 3
    assert sum(isinstance(m, GlobalBatchNorm) for m in d) == 2
    strides = {m.stride for m in g + d if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)}
    assert strides == {(2, 2)}
    assert g[0].weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_sides_grow_as_in_the_code_for_mnist():
    """28 = 2 x 14 = 4 x 7, then 4 and 2, rounded up; Lin et al.'s row has 64 maps at each end."""
    g = DCGANGenerator(100, (3, 28, 28), 2, 4, **BN)
    z, sides = torch.randn(3, 100), []
    for layer in g.layers:
        z = layer(z)
        sides += [tuple(z.shape[2:])] if isinstance(layer, nn.ConvTranspose2d) else []
    assert sides == [(4, 4), (7, 7), (14, 14), (28, 28)]
    with torch.device("meta"):
        d = DCGANDiscriminator((3, 28, 28), 64, 4, **BN)
    assert d.layers[-1].in_features == 512 * 2 * 2


def test_another_initialisation_can_be_chosen():
    networks = [DCGANGenerator(9, (1, 8, 8), 4, 2, **BN, initialise=i) for i in (None, initialise)]
    gains = [
        next(m.weight for m in n.modules() if isinstance(m, GlobalBatchNorm)) for n in networks
    ]
    assert gains[0].std() > 0
    assert gains[1].eq(1).all()


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"H and W above 8 \(2\^\(depth-1\)\), got \[1, 8, 28\]"):
        DCGANGenerator(100, [1, 8, 28], 4, 4, **BN)
    with pytest.raises(ValueError, match="width and depth must be >= 1, got 0 and 2"):
        DCGANDiscriminator([1, 28, 28], 0, 2, **BN)
    with pytest.raises(ValueError, match=r"image_shape must be \(C, H, W\), got \[2\]"):
        DCGANDiscriminator([2], 4, 2, **BN)
