"""Autoencoders: a plain loop, corruptions, and what they cannot do."""

import copy
from functools import partial

import pytest
import torch

from datamodules.base import BatchStream
from lit_models.capabilities import HasEncoder, HasLikelihood, Samples, has, require
from lit_models.images import UnitRange
from lit_models.networks.dense.image_mlp import ImageDecoder, ImageEncoder
from lit_models.training.noise import Noise, StepNoise
from lit_models.vae.lit_autoencoder import Autoencoder, GaussianCorruption, MaskingCorruption
from tests.helpers import assert_same_state, bare_trainer

SHAPE = (1, 2, 2)


def make(corruption=None):
    torch.manual_seed(0)
    return Autoencoder(
        ImageEncoder(SHAPE, 3, [8]),
        ImageDecoder(SHAPE, 3, [8], 1),
        partial(torch.optim.Adam, lr=1e-2),
        5,
        UnitRange(256),
        corruption,
    )


@pytest.mark.parametrize("corruption", [None, GaussianCorruption(0.3), MaskingCorruption(0.5)])
def test_equals_a_plain_loop(corruption):
    model = make(corruption)
    expected = copy.deepcopy(model)
    x = torch.randint(0, 256, (20, *SHAPE), dtype=torch.uint8)
    labels = torch.zeros(20, dtype=torch.long)
    bare_trainer(4).fit(model, BatchStream(x, labels, 5))
    optimizer, noise = expected.configure_optimizers(), StepNoise(0)
    for step, (batch, _) in zip(range(4), BatchStream(x, labels, 5), strict=False):
        noise.start(5 * step)
        clean = batch.float() / 255
        given = clean if corruption is None else corruption(clean, noise)
        loss = ((expected.decoder(expected.encoder(given)) - clean) ** 2).flatten(1).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert_same_state(model.state_dict(), expected.state_dict())


def test_corruptions():
    noise = Noise(torch.Generator().manual_seed(0))
    x = torch.ones(1000, 1, 4, 4)
    masked = MaskingCorruption(0.25)(x, noise)
    assert masked.unique().tolist() == [0, 1]
    assert masked.mean().item() == pytest.approx(0.75, abs=5 * (0.25 * 0.75 / 16000) ** 0.5)
    noisy = GaussianCorruption(0.3)(x, noise) - x
    assert noisy.std().item() == pytest.approx(0.3, rel=0.05)


def test_it_has_no_likelihood_and_no_samples():
    model = make()
    assert has(model, HasEncoder)
    for capability, words in ((Samples, "samples"), (HasLikelihood, "a likelihood")):
        with pytest.raises(ValueError, match=f"a model with {words}; Autoencoder has an encoder"):
            require(model, capability)
    assert model.grids(torch.zeros(4, *SHAPE), torch.zeros(4), torch.Generator()).keys() == {
        "reconstructions"
    }
