"""The GAN on the engine: equal to a plain loop to the bit, and each step moves what it should."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

from datamodules.base import BatchStream
from lit_models.adversarial.gan import GAN
from lit_models.adversarial.losses import (
    NonSaturatingLoss,
    RelativisticAverageLoss,
    WassersteinLoss,
)
from lit_models.adversarial.penalties import GradientPenalty
from lit_models.adversarial.player import Player
from lit_models.images import VectorRange
from lit_models.networks.conditional import ConditionalDiscriminator, ConditionalGenerator
from lit_models.networks.dense.mlp import MLP
from lit_models.networks.norm import GlobalBatchNorm
from lit_models.priors import NormalPrior, UniformPrior
from lit_models.training.noise import StepNoise
from lit_models.training.schedules import LinearSchedule
from tests.helpers import assert_same_state, bare_trainer, state_of

BATCH = 6
PENALTY = GradientPenalty(weight=10.0, target=1.0, epsilon=1e-12)


def make(loss=None, n_critic=2, weight_clip=None, ema_decay=None, **settings):
    torch.manual_seed(0)
    body = MLP(2, 8, [8])
    discriminator = nn.Sequential(body, GlobalBatchNorm(8, 1e-3, 0.1), MLP(8, 1, []))
    generator = nn.Sequential(MLP(3, 8, []), GlobalBatchNorm(8, 1e-3, 0.1), MLP(8, 2, [8]))
    adam = partial(torch.optim.Adam, lr=1e-2, betas=(0.5, 0.999), fused=True)
    return GAN(
        generator=Player(generator, adam, ema_decay),
        discriminator=Player(discriminator, adam, weight_clip=weight_clip),
        prior=settings.pop("prior", NormalPrior(3)),
        loss=loss or NonSaturatingLoss(),
        batch_size=BATCH,
        n_critic=n_critic,
        data_range=VectorRange(),
        **settings,
    )


def stream(model):
    data = torch.randn(50, 2, generator=torch.Generator().manual_seed(1))
    labels = torch.zeros(50, dtype=torch.long)
    return BatchStream(data, labels, BATCH, model.n_critic, model.images_seen)


def fit(model, steps, **settings):
    trainer = bare_trainer(steps, **settings)
    trainer.fit(model, stream(model))
    return trainer


def plain_loop(model, steps, penalty, clip):
    """The training of a GAN, written out."""
    g, d = model.generator, model.discriminator
    opt_d, opt_g = model.configure_optimizers()
    noise, images = StepNoise(model.noise_seed), 0
    for _, (batch, _) in zip(range(steps), stream(model), strict=False):
        noise.start(images)
        for real in batch.chunk(model.n_critic):
            z = model.prior(noise, len(real))
            fake = g(z).detach()
            loss = model.loss.discriminator_loss(d(real), d(fake))
            if penalty:
                loss = loss + penalty(d, real, fake, noise)
            opt_d.zero_grad()
            loss.backward()
            opt_d.step()
            for p in d.parameters() if clip else ():
                p.data.clamp_(-clip, clip)
        for _ in range(model.generator_updates):
            if not model.reuse_noise:
                z = model.prior(noise, len(real))
            loss = model.loss.generator_loss(*seen(model, d, real), d(g(z)))
            opt_g.zero_grad()
            loss.backward()
            opt_g.step()
        images += len(batch)


def seen(model, d, real):
    """The logits of real samples, where the generator's loss looks at them."""
    return [d(real).detach() if model.loss.generator_sees_real else None]


CASES = {
    "ns": {},
    "ns_reuse": {"reuse_noise": True, "n_critic": 1},
    "twice": {"generator_updates": 2},
    "twice_reuse": {"generator_updates": 2, "reuse_noise": True},
    "wgan": {"loss": WassersteinLoss(), "weight_clip": 0.1, "prior": UniformPrior(3, -1.0, 1.0)},
    "relativistic": {"loss": RelativisticAverageLoss()},
    "wgan_gp": {"loss": WassersteinLoss(), "penalty": PENALTY},
}


@pytest.mark.parametrize("case", CASES)
def test_equals_a_plain_loop(case):
    model = make(**CASES[case])
    expected = copy.deepcopy(model)
    fit(model, steps=5)
    plain_loop(expected, 5, CASES[case].get("penalty"), CASES[case].get("weight_clip"))
    assert_same_state(model.state_dict(), expected.state_dict())


def test_simultaneous_updates_equal_a_plain_loop():
    """Both gradients at the same parameters; the generator is called once per step."""
    model = make(simultaneous=True, reuse_noise=True, n_critic=1, penalty=PENALTY)
    expected = copy.deepcopy(model)
    g, d = expected.generator, expected.discriminator
    calls = []
    model.generator.register_forward_hook(lambda *_: calls.append(1))
    fit(model, steps=5)
    assert len(calls) == 5
    opt_d, opt_g = expected.configure_optimizers()
    noise = StepNoise(expected.noise_seed)
    for i, (real, _) in zip(range(5), stream(expected), strict=False):
        noise.start(i * BATCH)
        fake = g(expected.prior(noise, len(real)))
        loss_d = expected.loss.discriminator_loss(d(real), d(fake.detach()))
        loss_d = loss_d + PENALTY(d, real, fake.detach(), noise)
        gradients = torch.autograd.grad(loss_d, list(d.parameters()))
        loss_g = expected.loss.generator_loss(None, d(fake))
        opt_g.zero_grad()
        loss_g.backward()
        for p, gradient in zip(d.parameters(), gradients, strict=True):
            p.grad = gradient
        opt_d.step()
        opt_g.step()
    assert_same_state(model.state_dict(), expected.state_dict())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"generator_updates": 0}, "generator_updates must be >= 1, got 0"),
        (
            {"simultaneous": True, "n_critic": 1},
            "true with simultaneous, got 1, 1 and false",
        ),
        ({"simultaneous": True, "reuse_noise": True, "n_critic": 2}, "got 2, 1 and true"),
    ],
)
def test_orders_of_play_that_do_not_go_together(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)


def test_clock_and_counters():
    model = make(n_critic=5)
    trainer = fit(model, steps=3)
    assert trainer.global_step == 3
    assert model.images_seen == 3 * 5 * BATCH == 3 * model.images_per_step
    assert model.scalars.keys() == {"train/discriminator_loss", "train/generator_loss"}


def test_the_wasserstein_estimate_is_logged_without_the_penalty():
    model = make(WassersteinLoss(), penalty=PENALTY)
    objective, seen = model.discriminator_objective, []

    def watched(real, fake, labels):
        with torch.no_grad():
            gap = model.discriminator(real).mean() - model.discriminator(fake).mean()
        loss = objective(real, fake, labels)
        seen.append((gap, model.scalars["train/wasserstein_estimate"], loss.detach()))
        return loss

    model.discriminator_objective = watched
    fit(model, steps=2)
    for gap, estimate, loss in seen:
        torch.testing.assert_close(estimate, gap)
        assert abs(loss + estimate) > 1e-3  # the penalty


def parameters(network):
    return {k: v.clone() for k, v in network.named_parameters()}


def moved(before, network):
    return {k for k, v in network.named_parameters() if not torch.equal(before[k], v)}


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_an_update_moves_its_own_player_only(player, monkeypatch):
    model = make(n_critic=1)
    every = model.updates

    def only(x, labels):
        return (objectives for objectives in every(x, labels) if player in objectives)

    monkeypatch.setattr(model, "updates", only)
    networks = {"discriminator": model.discriminator, "generator": model.generator}
    before = {name: parameters(network) for name, network in networks.items()}
    fit(model, steps=1)
    other = "generator" if player == "discriminator" else "discriminator"
    assert not moved(before[other], networks[other])
    assert moved(before[player], networks[player]) >= {
        k for k, v in networks[player].named_parameters() if v.grad is not None and v.grad.any()
    }
    assert len(moved(before[player], networks[player])) >= 6
    assert all(p.requires_grad for p in model.parameters())


def test_weight_clip_holds_for_every_discriminator_parameter():
    model = make(WassersteinLoss(), weight_clip=0.05)
    fit(model, steps=2)
    largest = {k: v.abs().max().item() for k, v in model.discriminator.named_parameters()}
    assert max(largest.values()) <= 0.05 + 1e-8
    assert max(p.abs().max() for p in model.generator.parameters()) > 0.05


def test_gradient_norm_is_clipped(monkeypatch):
    model, norms = make(clip_grad_norm=1e-3), []
    hook = model.on_before_optimizer_step

    def watch(optimizer):
        hook(optimizer)
        grads = [p.grad for group in optimizer.param_groups for p in group["params"]]
        norms.append(torch.cat([g.flatten() for g in grads]).norm().item())

    monkeypatch.setattr(model, "on_before_optimizer_step", watch)
    fit(model, steps=2)
    assert len(norms) == 2 * 3
    assert max(norms) == pytest.approx(1e-3, rel=1e-2)


def test_averaged_weights_are_those_that_sample():
    """A discriminator's average is none of the model's."""
    adam = partial(torch.optim.Adam, lr=1e-2)
    model = make()
    averaged = GAN(
        generator=Player(model.generator, adam),
        discriminator=Player(model.discriminator, adam, ema_decay=0.9),
        prior=NormalPrior(3),
        loss=NonSaturatingLoss(),
        batch_size=BATCH,
        n_critic=1,
        data_range=VectorRange(),
    )
    with pytest.raises(ValueError, match="weights must be raw"):
        averaged.weights = "ema"
    make(ema_decay=0.9).weights = "ema"


def test_ema_follows_the_generator_by_hand():
    model = make(ema_decay=0.9, n_critic=1)
    average = state_of(model.generator)
    for _ in range(3):
        fit(model, steps=1)
        for name, value in model.generator.state_dict().items():
            if name in dict(model.generator.named_parameters()):
                average[name] = 0.9 * average[name] + 0.1 * value
            else:
                average[name] = value
    assert_same_state(model.ema_generator.state_dict(), average, rtol=1e-5, atol=1e-7)
    rng = torch.Generator().manual_seed(0)
    raw = model.sample(3, rng)
    model.weights = "ema"
    assert not torch.equal(model.sample(3, torch.Generator().manual_seed(0)), raw)


def test_schedule_sets_both_learning_rates():
    model = make(n_critic=1, schedule=LinearSchedule(0, 2 * BATCH, 0.0))
    trainer = fit(model, steps=2)
    rates = [group["lr"] for o in trainer.optimizers for group in o.param_groups]
    assert rates == [pytest.approx(0.5e-2)] * 2  # set at the second step, which begins at BATCH


def test_sampling_depends_on_its_generator_alone():
    model = make().eval()
    draws = [model.sample(4, torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_critic": 0}, "n_critic must be >= 1, got 0"),
        ({"ema_decay": "abc"}, "ema_decay must be a number or null, got 'abc'"),
        ({"loss": nn.Identity()}, "loss must be an AdversarialLoss, got Identity"),
        ({"ema_decay": 1.0}, "ema_decay must be between 0 and 1 or null, got 1.0"),
        ({"weight_clip": 0.0}, "weight_clip must be > 0 or null, got 0.0"),
        ({"clip_grad_norm": -1.0}, "clip_grad_norm must be > 0 or null, got -1.0"),
    ],
)
def test_refuses_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings)


# -- labels --------------------------------------------------------------------------------------

CLASSES = 3


def make_conditional(**settings):
    """A GAN of two-dimensional samples, each with one of three labels."""
    torch.manual_seed(0)
    adam = partial(torch.optim.Adam, lr=1e-2, betas=(0.5, 0.999), fused=True)
    return GAN(
        generator=Player(ConditionalGenerator(MLP(3 + CLASSES, 2, [8])), adam),
        discriminator=Player(ConditionalDiscriminator(MLP(2 + CLASSES, 1, [8])), adam),
        prior=NormalPrior(3),
        loss=NonSaturatingLoss(),
        batch_size=BATCH,
        n_critic=2,
        data_range=VectorRange(),
        num_classes=CLASSES,
        **settings,
    )


def labelled_stream(model):
    data = torch.randn(50, 2, generator=torch.Generator().manual_seed(1))
    return BatchStream(data, torch.arange(50) % CLASSES, BATCH, model.n_critic, model.images_seen)


@pytest.mark.parametrize("penalty", [None, PENALTY])
def test_a_conditional_gan_equals_a_plain_loop(penalty):
    """Both networks are given the labels of the real images, in the penalty as well."""
    model = make_conditional(penalty=penalty)
    expected = copy.deepcopy(model)
    bare_trainer(3).fit(model, labelled_stream(model))

    g, d, noise = expected.generator, expected.discriminator, StepNoise(0)
    opt_d, opt_g = expected.configure_optimizers()
    for step, (x, y) in zip(range(3), labelled_stream(expected), strict=False):
        noise.start(step * 2 * BATCH)
        for real, own in zip(x.chunk(2), y.chunk(2), strict=True):
            labels = nn.functional.one_hot(own, CLASSES).float()
            fake = g(expected.prior(noise, BATCH), labels).detach()
            loss = expected.loss.discriminator_loss(d(real, labels), d(fake, labels))
            if penalty:
                loss = loss + penalty(lambda v, y=labels: d(v, y), real, fake, noise)
            opt_d.zero_grad()
            loss.backward()
            opt_d.step()
        on_fake = d(g(expected.prior(noise, BATCH), labels), labels)
        opt_g.zero_grad()
        expected.loss.generator_loss(None, on_fake).backward()
        opt_g.step()
    assert_same_state(model.state_dict(), expected.state_dict())


def test_a_conditional_gan_samples_the_label_it_is_asked_for():
    model = make_conditional().eval()
    labels = torch.tensor([2, 2, 0])
    found = model.sample(3, torch.Generator().manual_seed(0), labels)
    z = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(found, model.decode(z, labels))
    assert not torch.equal(found, model.sample(3, torch.Generator().manual_seed(0)))  # 0, 1, 2
    with pytest.raises(ValueError, match="labels must be in 0 .. 2, got 0 .. 3"):
        model.sample(3, torch.Generator(), torch.tensor([0, 3, 1]))


def test_an_unconditional_gan_does_not_see_labels():
    with pytest.raises(ValueError, match="labels must be None for a model that is not"):
        make().sample(2, torch.Generator(), torch.tensor([0, 1]))
