"""Tiny networks of every kind, for tests over all of them."""

from functools import partial

import torch

from lit_models.likelihoods.pixels import (
    BernoulliPixels,
    CategoricalPixels,
    DiscretizedLogisticMixture,
)
from lit_models.networks.causal.gated_pixel_cnn import GatedPixelCNN
from lit_models.networks.causal.pixel_cnn import PixelCNN
from lit_models.networks.causal.pixel_cnn_pp import PixelCNNPP
from lit_models.networks.causal.pixel_rnn import DiagonalBiLSTM, PixelRNN, RowLSTM

row = partial(RowLSTM, kernel_size=3)


def pixel_cnn(shape, levels, conditions=0):
    assert not conditions
    f = 4 * shape[0]
    return PixelCNN(shape, levels, f, 2, 3, 5, f), CategoricalPixels()


def bernoulli_pixel_cnn(shape, levels, conditions=0):
    f = 4 * shape[0]
    return PixelCNN(shape, levels, f, 1, 3, 3, f, outputs=1), BernoulliPixels()


def row_lstm(shape, levels, conditions=0):
    f = 4 * shape[0]
    return PixelRNN(shape, levels, f, 2, row, 3, f), CategoricalPixels()


def diagonal_bilstm(shape, levels, conditions=0):
    f = 4 * shape[0]
    return PixelRNN(shape, levels, f, 2, DiagonalBiLSTM, 3, f), CategoricalPixels()


def gated(shape, levels, conditions=0):
    f = 4 * shape[0]
    network = GatedPixelCNN(shape, levels, f, 3, 3, 3, f, condition_features=conditions)
    return network, CategoricalPixels()


def pixel_cnn_pp(shape, levels, conditions=0, scales=1):
    likelihood = DiscretizedLogisticMixture(3, levels)
    outputs = likelihood.num_outputs(shape[0])
    network = PixelCNNPP(shape, levels, 4, 2, scales, 0.5, outputs, conditions)
    return network, likelihood


def pixel_cnn_pp_scales(shape, levels, conditions=0):
    return pixel_cnn_pp(shape, levels, conditions, scales=3)


CHANNELWISE = [pixel_cnn, row_lstm, diagonal_bilstm, gated]
SMALL = [*CHANNELWISE, pixel_cnn_pp]  # of any shape
ALL = [*SMALL, pixel_cnn_pp_scales]  # of sides that are multiples of 4


def build(kind, shape, levels, conditions=0):
    """A network far from the uniform model, in float64 and without dropout, and its likelihood."""
    torch.manual_seed(0)
    network, likelihood = kind(shape, levels, conditions)
    with torch.no_grad():
        for name, p in network.named_parameters():
            if "gain" not in name:
                p.add_(0.5 * torch.randn_like(p))
    return network.double().eval(), likelihood
