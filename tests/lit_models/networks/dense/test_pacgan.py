"""PacGAN's networks by their layers and a hand-worked maxout."""

import torch
from torch import nn

from lit_models.networks.dense.pacgan import Maxout, MaxoutMLP, NormalisedMLP
from lit_models.networks.norm import GlobalBatchNorm


def test_generator_layers():
    network = NormalisedMLP(3, 2, [7, 9], bn_momentum=0.1, bn_eps=1e-5)
    block = [nn.Linear, GlobalBatchNorm, nn.ReLU]
    assert [type(m) for m in network] == [*block, *block, nn.Linear]
    assert [m.bias is None for m in network if isinstance(m, nn.Linear)] == [True, True, False]
    assert network(torch.randn(4, 3)).shape == (4, 2)


def test_maxout_takes_the_largest_of_its_pieces():
    layer = Maxout(1, 2, pieces=3)
    with torch.no_grad():
        layer.maps.weight.copy_(torch.tensor([[1.0], [-1.0], [0.5], [2.0], [0.0], [-3.0]]))
        layer.maps.bias.copy_(torch.tensor([0.0, 0.0, 2.0, 0.0, 1.0, 0.0]))
    x = torch.tensor([[1.0], [-2.0]])
    torch.testing.assert_close(layer(x), torch.tensor([[2.5, 2.0], [2.0, 6.0]]))


def test_discriminator_shape_and_initial_weights():
    torch.manual_seed(0)
    network = MaxoutMLP(2, 1, [200, 200, 200], pieces=5)
    assert network(torch.randn(4, 2)).shape == (4,)
    assert [type(m) for m in network] == [Maxout] * 3 + [nn.Linear]
    assert abs(network[1].maps.weight.std().item() - 0.02) < 5e-4
    assert not any(m.bias.any() for m in network.modules() if isinstance(m, nn.Linear))
