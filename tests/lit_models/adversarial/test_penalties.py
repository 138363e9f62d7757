"""Penalties on discriminators whose gradient is known in closed form."""

import pytest
import torch
from torch import nn

from lit_models.adversarial.penalties import (
    DraganPenalty,
    GaussianDraganPenalty,
    GradientPenalty,
)
from lit_models.training.noise import Noise


def noise(dtype=torch.float32):
    return Noise(torch.Generator().manual_seed(0), dtype=dtype)


@pytest.fixture
def linear():
    """D(x) = w.x with w = (3, 0, 4): its gradient is w everywhere, of norm 5."""
    layer = nn.Linear(3, 1, bias=False)
    layer.weight.data = torch.tensor([[3.0, 0.0, 4.0]])
    return nn.Sequential(layer, nn.Flatten(0))


def test_value_and_gradient_on_a_linear_discriminator(linear):
    penalty = GradientPenalty(weight=10.0, target=1.0, epsilon=0.0)
    value = penalty(linear, torch.randn(5, 3), torch.randn(5, 3), noise())
    assert value.item() == pytest.approx(10 * (5 - 1) ** 2, rel=1e-5)
    value.backward()  # d/dw 10 (|w| - 1)^2 = 20 (|w| - 1) w / |w|; zero without create_graph
    torch.testing.assert_close(linear[0].weight.grad, 80 * torch.tensor([[0.6, 0.0, 0.8]]))


def test_epsilon_stands_under_the_root(linear):
    penalty = GradientPenalty(weight=1.0, target=0.0, epsilon=11.0)
    value = penalty(linear, torch.randn(5, 3), torch.randn(5, 3), noise())
    assert value.item() == pytest.approx(25 + 11, rel=1e-5)


def test_it_is_taken_on_the_segments_one_number_per_example():
    """D(x) = |x|^2 / 2 has gradient x: from 0 to (1, 1), E[2 u^2] = 2/3 with one u per example."""
    penalty = GradientPenalty(weight=1.0, target=0.0, epsilon=0.0)
    n, points = 100_000, []

    def discriminator(x):
        points.append(x.detach())
        return x.square().sum(1) / 2

    value = penalty(discriminator, torch.zeros(n, 2), torch.ones(n, 2), noise())
    assert torch.equal(points[0][:, 0], points[0][:, 1])
    assert value.item() == pytest.approx(2 / 3, abs=5 * (4 * 4 / 45 / n) ** 0.5)


def test_gradient_is_finite_where_the_discriminator_is_flat():
    flat = nn.Sequential(nn.Linear(3, 1, bias=False), nn.Flatten(0))
    nn.init.zeros_(flat[0].weight)
    penalty = GradientPenalty(weight=10.0, target=1.0, epsilon=1e-12)
    penalty(flat, torch.randn(5, 3), torch.randn(5, 3), noise()).backward()
    assert flat[0].weight.grad.isfinite().all()


def test_the_generator_gets_no_gradient(linear):
    fake = torch.randn(5, 3, requires_grad=True)
    GradientPenalty(10.0, 1.0, 0.0)(linear, torch.randn(5, 3), fake, noise()).backward()
    assert fake.grad is None


# -- DRAGAN --------------------------------------------------------------------------------------


def dragan(**settings):
    values = {"weight": 10.0, "target": 1.0, "epsilon": 0.0, "scale": 0.5, "output": nn.Identity()}
    return DraganPenalty(**{**values, **settings})


@pytest.mark.parametrize(
    "penalty",
    [dragan(), GaussianDraganPenalty(10.0, 1.0, 0.0, variance=4.0, output=nn.Identity())],
    ids=lambda p: type(p).__name__,
)
def test_dragan_on_a_linear_discriminator(linear, penalty):
    value = penalty(linear, torch.randn(5, 3), torch.randn(5, 3), noise())
    assert value.item() == pytest.approx(10 * (5 - 1) ** 2, rel=1e-5)
    value.backward()
    torch.testing.assert_close(linear[0].weight.grad, 80 * torch.tensor([[0.6, 0.0, 0.8]]))


def points_of(penalty, real):
    points = []

    def discriminator(x):
        points.append(x.detach())
        return x.square().flatten(1).sum(1)

    penalty(discriminator, real, torch.zeros_like(real), noise())
    return points[0]


def test_dragan_is_taken_beside_real_images_within_half_a_deviation():
    real = torch.randn(1000, 50, generator=torch.Generator().manual_seed(1))
    shift = points_of(dragan(), real) - real
    deviation = real.std(correction=0)
    assert shift.min() >= 0
    assert 0.9 * 0.5 * deviation < shift.max() <= 0.5 * deviation
    # u v with E[u] = E[v] = 1/2; one u per example: row means are .25 u' with u' ~ U[0, 1)
    assert shift.mean().item() == pytest.approx(0.5 * deviation.item() / 4, rel=0.05)
    rows = shift.mean(1) / (0.5 * deviation) * 2
    assert rows.std().item() == pytest.approx(12**-0.5, rel=0.1)


def test_the_papers_dragan_adds_gaussian_noise_of_its_variance():
    real = torch.zeros(2000, 50)
    penalty = GaussianDraganPenalty(10.0, 1.0, 0.0, variance=4.0, output=nn.Identity())
    assert points_of(penalty, real).std().item() == pytest.approx(2.0, rel=0.01)


def test_dragan_goes_through_the_sigmoid(linear):
    """D = sigmoid(w.x) at w.x = 0 has gradient w / 4."""
    zero = torch.zeros(4, 3)  # its deviation is 0, so that the points are 0, too
    value = dragan(output=nn.Sigmoid())(linear, zero, zero, noise())
    assert value.item() == pytest.approx(10 * (5 / 4 - 1) ** 2, rel=1e-5)
