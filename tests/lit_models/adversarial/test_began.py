"""BEGAN: equal to a plain loop to the bit, k by hand, and k in the checkpoint."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

from benchmarks.config.catalogue import names
from benchmarks.config.compose import experiment_config
from datamodules.base import BatchStream
from lit_models.adversarial.began import BEGAN
from lit_models.adversarial.player import Player
from lit_models.callbacks.checkpoints import Checkpoints
from lit_models.images import VectorRange
from lit_models.networks.convolutional.conv_autoencoder import ConvAutoencoder
from lit_models.networks.dense.mlp import MLP
from lit_models.priors import UniformPrior
from lit_models.training.checkpoint_files import load_checkpoint
from lit_models.training.noise import StepNoise
from tests.helpers import assert_same_state, bare_trainer

BATCH = 6


def make(n_critic=2, **settings):
    torch.manual_seed(0)
    adam = partial(torch.optim.Adam, lr=1e-2, fused=True)
    values = {"k_rate": 0.1, "balance": 0.75, "k_min": None, "k_max": None}
    return BEGAN(
        generator=Player(MLP(3, 4, [8]), adam),
        discriminator=Player(MLP(4, 4, [3]), adam),
        prior=UniformPrior(3, -1.0, 1.0),
        batch_size=BATCH,
        n_critic=n_critic,
        data_range=VectorRange(),
        **{**values, **settings},
    )


def stream(model):
    data = torch.randn(50, 4, generator=torch.Generator().manual_seed(1))
    labels = torch.zeros(50, dtype=torch.long)
    return BatchStream(data, labels, BATCH, model.n_critic, model.images_seen)


def plain_loop(model, steps):
    g, d, k = model.generator, model.discriminator, torch.tensor(0.0)
    opt_d, opt_g = model.configure_optimizers()
    noise, images, ks = StepNoise(0), 0, []

    def error(x):
        return (x - d(x)).abs().mean()

    for _, (batch, _) in zip(range(steps), stream(model), strict=False):
        noise.start(images)
        for real in batch.chunk(model.n_critic):
            z = model.prior(noise, BATCH)
            on_real, on_fake = error(real), error(g(z).detach())
            opt_d.zero_grad()
            (on_real - k * on_fake).backward()
            opt_d.step()
            codes = z
            if len(ks) % model.n_critic == model.n_critic - 1:  # the generator's turn
                codes = z if model.reuse_noise else model.prior(noise, BATCH)
                opt_g.zero_grad()
                error(g(codes)).backward()
                opt_g.step()
            if model.k_by_new_weights:
                on_real, on_fake = error(real), error(g(z))
            k = k + model.k_rate * (model.balance * on_real.detach() - on_fake.detach())
            if model.k_max is not None:
                k = k.clamp(model.k_min, model.k_max)
            ks.append(k.item())
        images += len(batch)
    return ks


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"reuse_noise": True, "n_critic": 1},
        {"k_min": 0.0, "k_max": 0.05},
        {"k_by_new_weights": True},
        {"k_by_new_weights": True, "reuse_noise": True, "n_critic": 3},
    ],
    ids=str,
)
def test_equals_a_plain_loop(settings):
    model = make(**settings)
    expected = copy.deepcopy(model)
    bare_trainer(5).fit(model, stream(model))
    ks = plain_loop(expected, 5)
    assert model.k.item() == ks[-1]
    assert model.k.item() != 0
    expected.k.fill_(ks[-1])
    assert_same_state(model.state_dict(), expected.state_dict())
    assert {"train/k", "train/convergence"} <= model.scalars.keys()


def test_k_is_clamped_only_where_asked_for():
    free, clamped = (
        make(k_rate=5.0, balance=3.0),
        make(k_rate=5.0, balance=3.0, k_min=0.0, k_max=1.0),
    )
    for model in (free, clamped):
        model._errors_of_step = torch.tensor([1.0, 2.0])
        model.after_updates(torch.zeros(BATCH, 4), torch.zeros(BATCH, 3))
    assert free.k.item() == pytest.approx(5.0)  # 5 (3 x 1 - 2)
    assert clamped.k.item() == 1.0
    assert free.scalars["train/convergence"].item() == pytest.approx(1 + 1)


def test_the_rows_of_lucic_have_their_codes_rule_and_others_the_papers():
    by_new_weights = {}
    for name in (n for n in names("experiment") if "began" in n):
        by_new_weights[name] = experiment_config(name).model.get("k_by_new_weights", False)
    assert len(by_new_weights) >= 5
    assert {n for n, new in by_new_weights.items() if new} == {
        n for n in by_new_weights if n.startswith("lucic2018/")
    }


def test_k_is_in_the_checkpoint(tmp_path):
    model = make()
    bare_trainer(3, callbacks=[Checkpoints(tmp_path, 12, "abc")]).fit(model, stream(model))
    kept = load_checkpoint(tmp_path / "36.ckpt", "abc")["state_dict"]["k"]
    assert kept == model.k


def autoencoder(shape=(3, 8, 12), batch_norm=False, width=4):
    return ConvAutoencoder(shape, width, 5, batch_norm, bn_momentum=0.1, bn_eps=1e-3)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_autoencoder_keeps_shape_and_range(batch_norm):
    network = autoencoder(batch_norm=batch_norm)
    x = network(torch.rand(2, 3, 8, 12))
    assert x.shape == (2, 3, 8, 12)
    assert 0 <= x.min() < x.max() <= 1
    narrowest = min(m.out_features for m in network.modules() if isinstance(m, nn.Linear))
    assert narrowest == 5
    assert sum(isinstance(m, nn.BatchNorm1d) for m in network.modules()) == 3 * batch_norm
    with pytest.raises(ValueError, match="divisible by 4"):
        autoencoder((1, 9, 8))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_autoencoder_is_that_of_the_code(batch_norm):
    """The layers stand here once more, as functions, in the order of the published code."""
    network = autoencoder(batch_norm=batch_norm)
    conv1, conv2, fc6, fc1, deconv1, deconv2 = (
        m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.ConvTranspose2d)
    )
    for layer in (conv1, conv2, fc6, fc1, deconv1, deconv2):
        nn.init.normal_(layer.bias, std=0.1)  # or a ReLU too many would not show

    def norm(x):
        if not batch_norm:
            return x
        axes = [0, *range(2, x.dim())]
        mean, var = x.mean(axes, keepdim=True), x.var(axes, correction=0, keepdim=True)
        return (x - mean) / (var + 1e-3).sqrt()

    def leaky(x):
        return torch.maximum(x, 0.2 * x)

    x = torch.rand(4, 3, 8, 12)
    code = leaky(norm(fc6(conv2(leaky(conv1(x))).flatten(1))))
    wide = leaky(norm(fc1(code))).reshape(4, 8, 2, 3)
    expected = deconv2(leaky(norm(deconv1(wide)))).sigmoid()
    torch.testing.assert_close(network(x), expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_critic": 0}, "n_critic must be >= 1, got 0"),
        ({"balance": 0.0}, "k_rate and balance must be > 0, got 0.1 and 0.0"),
        ({"k_min": 1.0, "k_max": 0.5}, "k_min must be <= k_max, got 1.0 and 0.5"),
    ],
)
def test_refuses_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings)
