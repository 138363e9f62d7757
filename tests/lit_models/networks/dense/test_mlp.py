"""The MLP by its shapes and layers."""

import pytest
import torch
from torch import nn

from lit_models.networks.dense.mlp import MLP


def test_shapes_and_layers():
    network = MLP(3, 5, [7, 9])
    assert [type(m) for m in network] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert network(torch.zeros(2, 3)).shape == (2, 5)
    assert MLP(3, 1, [])(torch.zeros(2, 3)).shape == (2,)


def test_refuses_an_empty_layer():
    with pytest.raises(ValueError, match="widths must be >= 1"):
        MLP(3, 1, [0])
