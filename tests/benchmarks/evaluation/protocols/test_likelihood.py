"""Likelihoods, latents and probes as protocols: counts, names, signs, refusals."""

import math

import pytest
import torch
from torch import nn

from benchmarks.evaluation.metrics.bits_per_dim import BitsPerDim
from benchmarks.evaluation.metrics.nll_nats import NllNats
from benchmarks.evaluation.protocols.latents import LatentProtocol
from benchmarks.evaluation.protocols.likelihood import LikelihoodProtocol
from benchmarks.evaluation.protocols.probe import ProbeProtocol
from benchmarks.evaluation.protocols.reconstruction import ReconstructionProtocol
from benchmarks.evaluation.sources import ModelSource
from datamodules.synthetic import SyntheticImages
from lit_models.base import LitGenerativeModel
from lit_models.images import LevelRange, UnitRange
from lit_models.likelihoods.observations import BernoulliLikelihood, GaussianFixed
from lit_models.networks.dense.image_mlp import ImageDecoder, ImageEncoder
from lit_models.priors import NormalPrior
from lit_models.vae.inference import StochasticLayer
from lit_models.vae.lit_autoencoder import Autoencoder
from lit_models.vae.lit_vae import VAE
from lit_models.vae.posteriors import InverseAutoregressiveFlow
from tests.helpers import measured

SHAPE = (1, 2, 2)


def data(levels=2, test_size=25, kind=SyntheticImages):
    made = kind(
        name="x",
        image_shape=SHAPE,
        num_levels=levels,
        num_classes=3,
        train_size=60,
        test_size=test_size,
        seed=0,
        validation_size=0,
    )
    made.setup()
    return made


class Uniform(LitGenerativeModel):
    likelihood_kind, dequantised, trained_by = "exact", False, None

    def train_step(self, x, labels):
        """It is not trained."""

    def log_likelihood(self, x, generator=None, num_importance_samples=1, labels=None):
        return torch.full((len(x),), -4 * math.log(self.data_range.num_levels))


def vae(likelihood=None, data_range=None):
    torch.manual_seed(0)
    return VAE(
        ImageEncoder(SHAPE, 4, [8]),
        ImageDecoder(SHAPE, 2, [8], 1),
        likelihood or BernoulliLikelihood(),
        NormalPrior(2),
        1.0,
        1e-6,
        None,
        5,
        data_range or UnitRange(2),
    )


def likelihood_protocol(samples=1, num_images=None):
    metrics = {"nll_nats": NllNats(), "bits_per_dim": BitsPerDim()}
    return LikelihoodProtocol(metrics, "test", samples, 42, 10, num_images)


@pytest.mark.parametrize(("levels", "bits"), [(256, 8.0), (2, 1.0)])
def test_a_uniform_model(levels, bits):
    source = ModelSource(Uniform(5, LevelRange(levels)))
    found = measured(likelihood_protocol(), source, data(levels))
    assert found == pytest.approx({"nll_nats": 4 * bits * math.log(2), "bits_per_dim": bits})
    assert likelihood_protocol().attributes(source) == {"likelihood": "exact"}


def test_bounds_have_their_names_and_signs():
    model = vae()
    model.encoder.layers[-1].bias.data[2:] += 1.5  # wider than the posterior: low variance
    source = ModelSource(model)
    one = measured(likelihood_protocol(), source, data())
    many = measured(likelihood_protocol(50), source, data())
    assert one["elbo_nats"] == -one["nll_nats"] < 0
    assert many["iwae_bound_k50_nats"] == -many["nll_nats"]
    assert many["nll_nats"] < one["nll_nats"]
    attributes = likelihood_protocol(50).attributes(source)
    assert attributes == {"likelihood": "iwae", "importance_samples": 50}


def test_a_part_of_the_images_is_the_same_part_every_time():
    source = ModelSource(Uniform(5, LevelRange(2)))
    seen = []
    source.model.log_likelihood = lambda x, *rest: seen.append(x) or torch.zeros(len(x))
    for _ in range(2):
        measured(likelihood_protocol(num_images=13), source, data())
    assert [len(x) for x in seen] == [10, 3] * 2
    assert all(torch.equal(a, b) for a, b in zip(seen[:2], seen[2:], strict=True))


def test_a_density_of_dequantised_data_says_so():
    source = ModelSource(vae(GaussianFixed(4, 0.3), LevelRange(4)))
    assert likelihood_protocol().attributes(source)["of"] == "density of dequantised data"
    assert measured(likelihood_protocol(), source, data(4))["bits_per_dim"] > 0


def autoencoder():
    torch.manual_seed(0)
    encoder, decoder = ImageEncoder(SHAPE, 3, [8]), ImageDecoder(SHAPE, 3, [8], 1)
    return Autoencoder(encoder, decoder, None, 5, UnitRange(2))


@pytest.mark.parametrize(
    ("protocol", "model", "message"),
    [
        (
            likelihood_protocol(),
            autoencoder(),
            "needs a model with a likelihood; Autoencoder has an encoder",
        ),
        (likelihood_protocol(num_images=26), vae(), "num_images must be <= 25"),
        (
            LatentProtocol("test", 0.01, 0.01, 2, 0, 10),
            autoencoder(),
            "needs a model with stochastic layers; Autoencoder has an encoder",
        ),
        (
            ReconstructionProtocol("test", 10),
            Uniform(5, LevelRange(2)),
            "a model with an encoder; Uniform has a likelihood",
        ),
        (ProbeProtocol(99, 1.0, 1, 1e-3, 5, 0, 10), vae(), "labels_per_class must be <= "),
    ],
)
def test_refusals(protocol, model, message):
    with pytest.raises(ValueError, match=message):
        protocol.check(ModelSource(model), data())


@pytest.mark.parametrize(("samples", "images"), [(0, None), (1, 0)])
def test_counts_must_be_positive(samples, images):
    with pytest.raises(ValueError, match="must be (an integer )?>= 1"):
        likelihood_protocol(samples, images)


class Known(nn.Module):
    """Posterior means (x_0 + x_1, .13) with deviations (.1, 1): one active, one collapsed."""

    def forward(self, x):
        first = x.flatten(1)[:, :1] + x.flatten(1)[:, 1:2]
        raw = torch.tensor([[0.1, 1.0]]).expm1().log().expand(len(x), 2)
        return torch.cat([first, torch.full_like(first, 0.13), raw], dim=1)


def test_active_and_collapsed_units():
    model = vae()
    model.encoder = Known()
    found = measured(LatentProtocol("test", 0.01, 0.01, 3, 42, 10), ModelSource(model), data())
    assert found == {
        "active_units": 1,
        "collapsed_latents": 1,
        "active_units_1": 1,
        "collapsed_latents_1": 1,
    }


def test_reconstruction_error():
    model = autoencoder()
    found = measured(ReconstructionProtocol("test", 10), ModelSource(model), data())
    x = data().split("test")[0].float()
    expected = (model.reconstruct(x).clamp(0, 1) - x).square().mean().item()
    assert found["reconstruction_mse"] == pytest.approx(expected, rel=1e-5)


class Separable(SyntheticImages):
    """Three classes that differ in one pixel."""

    def load(self):
        splits = super().load()
        for x, y in ((splits.train, splits.train_labels), (splits.test, splits.test_labels)):
            x[:] = 0
            x.reshape(len(x), -1)[range(len(y)), y] = 1
        return splits


def test_probes_of_classes_that_can_be_told_apart():
    made = data(kind=Separable)
    model = vae()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    protocol = ProbeProtocol(5, 1.0, 100, 1e-2, 10, 42, 10)
    found = measured(protocol, ModelSource(model), made)
    assert found == {"linear_accuracy": 1.0, "fine_tuned_accuracy": 1.0}
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert measured(protocol, ModelSource(model), made) == found


class Blind(nn.Module):
    """A posterior that ignores the image."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, x):
        return torch.zeros(len(x), self.outputs)


def test_no_unit_of_a_blind_posterior_is_active():
    """Neither in an upper layer nor behind a flow, where means are taken over few draws."""
    layered = vae()
    layered.layers.append(StochasticLayer(2, Blind(4), Blind(4)))
    flowing = vae()
    flowing.flow = InverseAutoregressiveFlow(2, 1, 2, [8])
    layered.encoder, flowing.encoder = Blind(4), Blind(5)
    made = data(test_size=2000)
    for model in (layered, flowing):
        protocol = LatentProtocol("test", 0.01, 0.01, 10, 42, 500)
        found = measured(protocol, ModelSource(model), made)
        assert found["active_units"] == 0
        assert ("collapsed_latents" in found) == (model is layered)


def test_a_unit_of_a_lower_layer_that_tells_images_apart_is_not_collapsed():
    model = vae()
    model.encoder = Known()
    model.layers.append(StochasticLayer(2, nn.Linear(2, 4), nn.Linear(2, 4)))
    found = measured(LatentProtocol("test", 0.01, 0.01, 10, 42, 10), ModelSource(model), data())
    assert found["active_units_1"] == 1
    assert found["collapsed_latents_1"] == 0  # both differ from what the layer above says
