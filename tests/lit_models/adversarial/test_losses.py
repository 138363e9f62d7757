"""Adversarial losses against values worked out by hand; every loss in configs/ is covered."""

import math
from pathlib import Path

import hydra.utils
import pytest
import torch
from omegaconf import OmegaConf

CONFIGS = Path(__file__).parents[3] / "configs" / "loss"
LOSSES = {p.stem: hydra.utils.instantiate(OmegaConf.load(p)) for p in CONFIGS.glob("*.yaml")}
REAL, FAKE = torch.tensor([2.0, -1.0]), torch.tensor([0.5, 3.0])


def softplus(x):
    return math.log1p(math.exp(x))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


BY_HAND = {  # discriminator, generator, for the logits above
    "non_saturating": (
        (softplus(-2) + softplus(1)) / 2 + (softplus(0.5) + softplus(3)) / 2,
        (softplus(-0.5) + softplus(-3)) / 2,
    ),
    "wasserstein": (1.75 - 0.5, -1.75),
    "minimax": (
        (softplus(-2) + softplus(1)) / 2 + (softplus(0.5) + softplus(3)) / 2,
        -(softplus(0.5) + softplus(3)) / 2,
    ),
    "least_squares": (((1 + 4) / 2 + (0.25 + 9) / 2) / 2, (0.25 + 4) / 2 / 2),
    "least_squares_lucic2018": (
        (
            ((sigmoid(2) - 1) ** 2 + (sigmoid(-1) - 1) ** 2) / 2
            + (sigmoid(0.5) ** 2 + sigmoid(3) ** 2) / 2
        )
        / 2,
        ((sigmoid(0.5) - 1) ** 2 + (sigmoid(3) - 1) ** 2) / 2 / 2,
    ),
    "hinge": ((0 + 2) / 2 + (1.5 + 4) / 2, -1.75),
    "relativistic_average": (  # means .5 of real and 1.75 of fake logits
        (softplus(-(2 - 1.75)) + softplus(-(-1 - 1.75))) / 2 + (softplus(0) + softplus(2.5)) / 2,
        (softplus(0) + softplus(-2.5)) / 2 + (softplus(2 - 1.75) + softplus(-1 - 1.75)) / 2,
    ),
}


def given(loss, real):
    """What the generator's loss is given of real samples: nothing, unless it looks at them."""
    return real if loss.generator_sees_real else None


@pytest.mark.parametrize("name", LOSSES)
def test_value_by_hand(name):
    discriminator, generator = BY_HAND[name]
    loss = LOSSES[name]
    assert loss.discriminator_loss(REAL, FAKE).item() == pytest.approx(discriminator, rel=1e-6)
    assert loss.generator_loss(given(loss, REAL), FAKE).item() == pytest.approx(
        generator, rel=1e-6
    )


@pytest.mark.parametrize("name", LOSSES)
def test_descent_directions(name):
    """The discriminator wants real up and fake down; the generator wants fake up."""
    loss = LOSSES[name]
    real, fake = (torch.full((4,), 0.5, requires_grad=True) for _ in range(2))
    loss.discriminator_loss(real, fake).backward()
    assert (real.grad < 0).all()
    assert (fake.grad > 0).all()
    fake.grad = None
    loss.generator_loss(given(loss, real.detach()), fake).backward()
    assert (fake.grad < 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_finite_at_extreme_logits(name):
    big = torch.tensor([1e4, -1e4])
    assert torch.isfinite(LOSSES[name].discriminator_loss(big, big))
    assert torch.isfinite(LOSSES[name].generator_loss(given(LOSSES[name], big), big))


def test_optimal_discriminator_gives_jensen_shannon():
    """At D* = p / (p + q) the NS discriminator loss is log 4 - 2 JS (Goodfellow, Thm. 1)."""
    p, q = torch.tensor([0.2, 0.8]).double(), torch.tensor([0.5, 0.5]).double()
    logits = (p / q).log()
    loss = LOSSES["non_saturating"]
    value = sum(
        p[i] * loss.discriminator_loss(logits[[i]], logits[[j]]) * q[j]
        for i in range(2)
        for j in range(2)
    )
    m = (p + q) / 2
    js = 0.5 * ((p * (p / m).log()).sum() + (q * (q / m).log()).sum())
    torch.testing.assert_close(value, math.log(4) - 2 * js)


def test_wasserstein_estimate_is_the_difference_of_means():
    """(2 - 1) / 2 - (.5 + 3) / 2 = -1.25; without penalty it is the negated loss."""
    loss = LOSSES["wasserstein"]
    ((name, value),) = loss.estimates(REAL, FAKE).items()
    assert name == "wasserstein_estimate"
    assert value.item() == -1.25
    assert value.item() == -loss.discriminator_loss(REAL, FAKE).item()
    assert LOSSES["hinge"].estimates(REAL, FAKE) == {}
