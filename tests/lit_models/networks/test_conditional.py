"""Labels reach a plain network, beside codes and as channels."""

import torch
from torch import nn

from lit_models.networks.conditional import ConditionalDiscriminator, ConditionalGenerator


def test_codes_and_labels_side_by_side():
    z, labels = torch.randn(2, 3), torch.eye(2)
    found = ConditionalGenerator(nn.Identity())(z, labels)
    torch.testing.assert_close(found, torch.cat([z, labels], 1))


def test_a_channel_of_ones_for_the_label():
    x, labels = torch.randn(2, 3, 4, 5), torch.eye(4)[:2]
    found = ConditionalDiscriminator(nn.Identity())(x, labels)
    assert found.shape == (2, 7, 4, 5)
    torch.testing.assert_close(found[:, :3], x)
    assert found[0, 3:].sum((1, 2)).tolist() == [20, 0, 0, 0]
    assert found[1, 3:].sum((1, 2)).tolist() == [0, 20, 0, 0]


def test_vectors_too():
    found = ConditionalDiscriminator(nn.Identity())(torch.zeros(2, 3), torch.eye(2))
    assert found.tolist() == [[0, 0, 0, 1, 0], [0, 0, 0, 0, 1]]
