"""The networks of Lucic et al. (2018): sizes pinned, initialisation checked."""

import pytest
import torch
from torch import nn

from lit_models.networks.convolutional.infogan import InfoGANDiscriminator, InfoGANGenerator
from lit_models.networks.norm import GlobalBatchNorm

BN = {"bn_momentum": 0.001, "bn_eps": 1e-3}


def generator(shape, width=64):
    return InfoGANGenerator(64, shape, width, 0.2, **BN, output=nn.Sigmoid())


def count(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("shape", "g", "d"), [((1, 28, 28), 6_642_241, 6_556_865), ((3, 32, 32), 8_616_131, 8_524_993)]
)
def test_parameter_counts(shape, g, d):
    """By hand, with f = 128 (h/4)^2 features on the grid, biases before BatchNorm included.

    G: (64 + 3) 1024 + (1024 + 3) f + 128 64 16 + 3 64 + 64 c 16 + c
    D: c 64 16 + 64 + 64 128 16 + 128 + (f + 1) 1024 + 1025
    """
    assert count(generator(shape)) == g
    assert count(InfoGANDiscriminator(shape, 64, batch_norm=False, **BN)) == d
    with_norm = count(InfoGANDiscriminator(shape, 64, batch_norm=True, **BN))
    assert with_norm == d + 2 * 128 + 2 * 1024


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 8, 12)])
def test_shapes_and_range(shape):
    x = generator(shape, width=4)(torch.randn(5, 64))
    assert x.shape == (5, *shape)
    assert x.min() >= 0
    assert x.max() <= 1
    assert InfoGANDiscriminator(shape, 4, batch_norm=True, **BN)(x).shape == (5,)
    encoder = InfoGANDiscriminator(shape, 4, batch_norm=True, **BN, out_features=6)
    assert encoder(x).shape == (5, 6)


def test_initialisation():
    torch.manual_seed(0)
    network = InfoGANDiscriminator((1, 28, 28), 64, batch_norm=True, **BN)
    convolution, linear = network.layers[2], network.layers[6]
    assert convolution.weight.abs().max() <= 0.04
    # a normal truncated at two deviations keeps .88 of its deviation
    torch.testing.assert_close(convolution.weight.std().item(), 0.88 * 0.02, rtol=0.01, atol=0)
    torch.testing.assert_close(linear.weight.std().item(), 0.02, rtol=0.01, atol=0)
    assert convolution.bias.abs().max() == 0
    norms = [m for m in network.modules() if isinstance(m, GlobalBatchNorm)]
    assert len(norms) == 2
    assert all((n.weight == 1).all() and n.momentum == 0.001 and n.eps == 1e-3 for n in norms)


@pytest.mark.parametrize("shape", [(1, 30, 28), (28, 28), (1, 28, 27)])
def test_refuses_shapes_that_do_not_fit(shape):
    with pytest.raises(ValueError, match="image_shape must"):
        generator(shape)
