"""Precision and recall on a manifold that is known: dark images of four free pixels."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.config.compose import compose_group
from benchmarks.config.instantiate import instantiate
from benchmarks.evaluation.protocols.manifold import ManifoldProtocol, invert
from benchmarks.evaluation.sources import ModelSource, TensorSource
from datamodules.synthetic import SyntheticImages
from lit_models.callbacks.monitor import DivergedError
from lit_models.images import UnitRange
from lit_models.priors import NormalPrior, UniformPrior
from tests.helpers import Untrained, measured


class Sigmoid(Untrained):
    """Images of 2 x 2 pixels, sigmoid(factor z_1) .. sigmoid(factor z_4)."""

    def __init__(self, prior, factor=1.0):
        super().__init__(1, UnitRange(256))
        self.prior, self.factor = prior, nn.Parameter(torch.tensor(factor))

    def decode(self, z):
        return (self.factor * z).sigmoid().view(-1, 1, 2, 2)


class Below(SyntheticImages):
    """All images whose pixels are at most 1/2 are the manifold."""

    def manifold_distance(self, images):
        over = np.maximum(images.reshape(len(images), -1) - 0.5, 0)
        return np.sqrt(np.square(over).sum(1))


def data(cls=Below):
    spec = {"name": "below", "image_shape": [1, 2, 2], "num_levels": 256, "num_classes": 1}
    out = cls(train_size=8, test_size=40, seed=0, validation_size=0, **spec)
    out.setup()
    return out


def protocol(**settings):
    values = {"threshold": 0.05, "num_samples": 50, "num_real": 40, "steps": 300, "restarts": 1}
    return ManifoldProtocol(**{**values, "lr": 0.2, "seed": 42, "chunk_size": 7, **settings})


def test_precision_recall_and_f1():
    """All images can be made; samples are near with the probability of being at most ~1/2."""
    found = measured(protocol(), ModelSource(Sigmoid(UniformPrior(4, -6.0, 6.0))), data())
    assert found["recall"] == 1.0
    assert 0 < found["precision"] < 0.5  # (1/2)^4 and a little more
    p, r = found["precision"], found["recall"]
    assert found["f1"] == pytest.approx(2 * p * r / (p + r))
    source = ModelSource(Sigmoid(UniformPrior(4, -6.0, 6.0)))
    assert measured(protocol(chunk_size=50), source, data())["recall"] == 1.0


def test_what_the_generator_cannot_make_is_not_recalled():
    """Codes stay in the prior's support: half of the range, so (1/2)^4 of the images at most."""
    found = measured(protocol(), ModelSource(Sigmoid(UniformPrior(4, -6.0, 0.0))), data())
    assert found["precision"] == 1.0
    assert found["recall"] < 0.3
    none = measured(protocol(), ModelSource(Sigmoid(NormalPrior(4), factor=0.0)), data())
    assert (none["precision"], none["recall"], none["f1"]) == (1.0, 0.0, 0.0)


def test_inversion_finds_the_code_and_keeps_the_best():
    model = Sigmoid(NormalPrior(4), factor=2.0)
    targets = torch.rand(5, 1, 2, 2, generator=torch.Generator().manual_seed(1))
    start = invert(model, targets, 0, 1, 0.05, torch.Generator().manual_seed(0))
    end = invert(model, targets, 500, 1, 0.1, torch.Generator().manual_seed(0))
    more = invert(model, targets, 0, 4, 0.05, torch.Generator().manual_seed(0))
    assert (end < 0.01).all()
    assert (more <= start).all()
    assert (start > 0.05).all()
    assert model.factor.grad is None
    assert not end.requires_grad


def test_what_it_cannot_score_is_refused():
    model = ModelSource(Sigmoid(NormalPrior(4)))
    with pytest.raises(ValueError, match="needs data of a known manifold .triangles., got below"):
        protocol().check(model, data(SyntheticImages))
    with pytest.raises(ValueError, match="a model with samples and latent codes, got images"):
        protocol().check(TensorSource(data().split("test")[0], 256, 0), data())
    with pytest.raises(ValueError, match="needs at least 41 images, got 40"):
        protocol(num_real=41).check(model, data())
    protocol().check(model, data())
    bad = ModelSource(Sigmoid(NormalPrior(4), factor=float("nan")))
    with pytest.raises(DivergedError, match="samples are not finite"):
        measured(protocol(), bad, data())


def test_models_without_codes_say_so():
    cfg = compose_group("protocol", "manifold_1k_triangles")
    assert instantiate(cfg, "protocol").threshold == 0.75

    class Coder(Untrained):
        prior = NormalPrior(4)  # and no decode

    with pytest.raises(ValueError, match="needs a model with latent codes; Coder has samples"):
        protocol().check(ModelSource(Coder(1, UnitRange(256))), data())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"restarts": 0}, "restarts must be an integer >= 1, got 0"),
        ({"steps": -1}, "steps must be >= 0, got -1"),
        ({"chunk_size": 0}, "chunk_size must be an integer >= 1, got 0"),
        ({"threshold": 0.0}, "threshold must be > 0, got 0.0"),
    ],
)
def test_settings_that_measure_nothing_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        protocol(**setting)
