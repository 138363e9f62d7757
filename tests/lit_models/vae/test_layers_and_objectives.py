"""Several layers, flows and objectives of the VAE against closed forms."""

import math

import pytest
import torch
from torch import nn

from lit_models.images import LevelRange, UnitRange
from lit_models.likelihoods.densities import normal_log_prob
from lit_models.likelihoods.observations import BernoulliLikelihood, CategoricalLikelihood
from lit_models.networks.dense.mlp import MLP
from lit_models.priors import NormalPrior
from lit_models.training.noise import Noise
from lit_models.vae import lit_vae
from lit_models.vae.inference import StochasticLayer
from lit_models.vae.lit_vae import VAE
from lit_models.vae.objectives import (
    Draws,
    ElboObjective,
    IwaeObjective,
    ScoreFunctionObjective,
)
from lit_models.vae.posteriors import InverseAutoregressiveFlow
from tests.lit_models.vae.test_vae import LinearGaussian


class Affine(nn.Module):
    """x to (gain x + shift, raw deviation of sigma): a normal that is linear in x."""

    def __init__(self, gain, sigma, shift=0.0):
        super().__init__()
        self.gain, self.raw, self.shift = gain, math.log(math.expm1(sigma)), shift

    def forward(self, x):
        return torch.cat([self.gain * x + self.shift, torch.full_like(x, self.raw)], dim=-1)


def two_layers(shift):
    """z2 ~ N(0, 1), z1 ~ N(a z2, s1^2), x ~ N(z1, s^2); shift 0 gives the exact posteriors."""
    a, s1, s = 0.8, 0.7, 0.5
    v1 = a**2 + s1**2  # of z1
    gain, sigma = v1 / (v1 + s**2), math.sqrt(v1 * s**2 / (v1 + s**2))
    upper = StochasticLayer(2, Affine(a / v1, math.sqrt(s1**2 / v1), shift), Affine(a, s1))
    model = VAE(
        Affine(gain, sigma, shift),
        nn.Identity(),
        LinearGaussian(s),
        NormalPrior(2),
        1.0,
        0.0,
        None,
        4,
        UnitRange(2),
        layers=[upper],
    ).double()
    x = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)).double()
    deviation = torch.full_like(x, math.sqrt(v1 + s**2))
    return model, x, normal_log_prob(x, torch.zeros_like(x), deviation)


def bound(model, x, k, seed=0):
    return model.log_likelihood(x, torch.Generator().manual_seed(seed), k)


def test_two_layers_with_exact_posteriors_give_log_p_for_every_draw():
    model, x, exact = two_layers(shift=0.0)
    torch.testing.assert_close(bound(model, x, 1), exact)


def test_two_layers_with_other_posteriors_rise_to_log_p():
    model, x, exact = two_layers(shift=0.3)
    means = [bound(model, x, k).mean().item() for k in (1, 5, 50, 5000)]
    assert means == sorted(means)
    assert means[0] < exact.mean().item() - 0.05
    # the bias falls as 1/K, its noise as 1/sqrt(500 K)
    assert means[-1] == pytest.approx(exact.mean().item(), abs=2e-3)


def test_a_bound_does_not_depend_on_how_many_codes_are_decoded_at_once(monkeypatch):
    model, x, _ = two_layers(shift=0.3)
    whole = bound(model, x[:10], 64)
    decoded = []
    model.decoder.register_forward_hook(lambda module, given, output: decoded.append(len(output)))
    for name, value in (("ROWS", 70), ("PARAMETERS", 30 * x[0].numel())):
        monkeypatch.setattr(lit_vae, name, value)
        torch.testing.assert_close(bound(model, x[:10], 64), whole)
    assert max(decoded) == 70
    assert decoded[-1] == 10  # 64 = 21 times 3 and 1
    assert decoded[-2] == 30


def test_divergences_of_all_layers_are_those_of_the_draws():
    """The closed form of the top layer and the sampled ones agree in the mean."""
    model, x, _ = two_layers(shift=0.3)
    draws = model.draw(x, Noise(torch.Generator().manual_seed(0), dtype=torch.float64), 200)
    assert [kl.shape for kl in draws.kls] == [(200, 500, 2), (200, 500, 2)]
    elbo = draws.log_likelihood - sum(kl.sum(-1) for kl in draws.kls)
    difference = elbo.mean(0) - draws.log_weights.mean(0)
    error = draws.log_weights.std() / math.sqrt(200 * 500)
    assert abs(difference.mean()) < 5 * error


def flow_model():
    torch.manual_seed(0)
    flow = InverseAutoregressiveFlow(3, context_features=2, num_steps=2, hidden=[8])
    for p in flow.parameters():
        p.data.add_(0.3 * torch.randn_like(p))
    return VAE(
        nn.Sequential(nn.Flatten(), MLP(4, 8, [8])),
        nn.Sequential(MLP(3, 4, [8]), nn.Unflatten(1, (1, 2, 2))),
        BernoulliLikelihood(),
        NormalPrior(3),
        1.0,
        1e-6,
        None,
        5,
        UnitRange(2),
        flow=flow,
    ).double()


def test_log_determinant_of_the_flow_against_autograd():
    flow = flow_model().flow
    z, context = torch.randn(5, 3).double(), torch.randn(5, 2).double()
    moved, log_det = flow(z, context)
    assert not torch.allclose(moved, z)
    seen = torch.zeros(3, 3, dtype=torch.bool)
    for i in range(5):
        jacobian = torch.autograd.functional.jacobian(
            lambda v, i=i: flow(v[None], context[i][None])[0][0], z[i]
        )
        torch.testing.assert_close(jacobian.det().abs().log(), log_det[i])
        seen |= jacobian != 0
    assert seen.all()  # by two orders every dimension sees every other


def test_a_flow_keeps_the_bound_a_bound():
    """Log p(x) by quadrature over 3-d codes; the bound rises to it with K."""
    model = flow_model()
    for p in model.decoder.parameters():
        p.data.mul_(2)
    model.encoder[1][-1].bias.data[3:6] += 1.5  # wider than the posterior: weights of low variance
    x = torch.tensor([1.0, 0.0, 1.0, 1.0]).double().view(1, 1, 2, 2)
    grid = torch.linspace(-6, 6, 61).double()
    z = torch.cartesian_prod(grid, grid, grid)
    log_p_z = normal_log_prob(z, torch.zeros_like(z), torch.ones_like(z))
    with torch.no_grad():
        log_p_x = model.log_prob(x.expand(len(z), -1, -1, -1), z[None], None)[0]
        exact = (log_p_z + log_p_x).logsumexp(0) + 3 * math.log(0.2)
        many = x.expand(4000, -1, -1, -1)
        means = [bound(model, many, k).mean() for k in (1, 10, 200)]
    assert means == sorted(means)
    assert means[0] < exact - 0.02
    assert means[-1].item() == pytest.approx(exact.item(), abs=5e-3)


def draws_by_hand():
    return Draws(
        log_likelihood=torch.tensor([[-1.0, -3.0]]),
        kls=(torch.tensor([[[0.5, 0.0], [1.5, 0.2]]]),),
        log_weights=torch.tensor([[2.0, 4.0], [6.0, 0.5]]).log(),
        log_q=torch.zeros(2, 2),
    )


@pytest.mark.parametrize(
    ("objective", "images_seen", "expected"),
    [
        (ElboObjective(), 0, 2 + 1.1),
        (ElboObjective(kl_weight=4.0), 0, 2 + 4.4),
        (ElboObjective(warm_up_images=100), 25, 2 + 0.25 * 1.1),
        (ElboObjective(warm_up_images=100), 300, 2 + 1.1),
        (ElboObjective(free_nats=0.25), 0, 2 + 1.0 + 0.25),
        (IwaeObjective(num_samples=2), 0, -(math.log(4) + math.log(2.25)) / 2),
        (ScoreFunctionObjective(2), 0, -(math.log(2 * 4) + math.log(6 * 0.5)) / 4),
    ],
)
def test_objectives_by_hand(objective, images_seen, expected):
    assert objective.loss(draws_by_hand(), images_seen).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: IwaeObjective(0), "num_samples must be an integer >= 1, got 0"),
        (lambda: ElboObjective(-1.0), "kl_weight must be >= 0, got -1.0"),
        (lambda: ElboObjective(warm_up_images=0), "warm_up_images must be >= 1 or null, got 0"),
        (lambda: ElboObjective(free_nats=-1.0), "free_nats must be >= 0 or null, got -1.0"),
    ],
)
def test_objectives_refuse(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def gradients(objective, repeats):
    """Gradients of the encoder's weights, (repeats, P), on four images."""
    torch.manual_seed(0)
    model = VAE(
        nn.Sequential(nn.Flatten(), nn.Linear(4, 4)),
        nn.Sequential(nn.Linear(2, 4), nn.Unflatten(1, (1, 2, 2))),
        BernoulliLikelihood(),
        NormalPrior(2),
        None,
        1e-6,
        None,
        4,
        UnitRange(2),
        objective=objective,
    ).double()
    x = torch.randint(0, 2, (4, 1, 2, 2), generator=torch.Generator().manual_seed(1)).double()
    noise = Noise(torch.Generator().manual_seed(2), dtype=torch.float64)
    weights = list(model.encoder.parameters())
    found = []
    for _ in range(repeats):
        loss = objective.loss(model.draw(x, noise, objective.num_samples), 0)
        found.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)]))
    return torch.stack(found)


def test_both_gradient_estimators_agree_in_the_mean_and_differ_in_variance():
    n = 3000
    smooth = gradients(ElboObjective(num_samples=4), n)
    score = gradients(ScoreFunctionObjective(num_samples=4), n)
    alone = gradients(ScoreFunctionObjective(num_samples=1), n)
    for other in (score, alone):
        error = ((smooth.var(0) + other.var(0)) / n).sqrt()
        assert ((smooth.mean(0) - other.mean(0)).abs() < 5 * error).all()
    assert score.var(0).sum() > 5 * smooth.var(0).sum()
    assert alone.var(0).sum() > 4 * score.var(0).sum()  # no baseline, a quarter of the draws


class WithLabels(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x, labels):
        return self.network(torch.cat([x.flatten(1), labels], dim=1))


def test_a_conditional_model_takes_labels():
    torch.manual_seed(0)
    decoder = nn.Sequential(MLP(5, 4 * 3, [8]), nn.Unflatten(1, (3, 2, 2)))
    model = VAE(
        WithLabels(MLP(7, 4, [8])),
        WithLabels(decoder),
        CategoricalLikelihood(3),
        NormalPrior(2),
        1.0,
        1e-6,
        None,
        5,
        LevelRange(3),
        num_classes=3,
    )
    x = torch.randint(0, 3, (6, 1, 2, 2))
    labels = torch.zeros(6, dtype=torch.long)
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    by_label = [
        model.log_likelihood(x, g, 3, y)
        for g, y in zip(generators, (labels, labels + 1), strict=True)
    ]
    assert not torch.allclose(*by_label)
    assert model.sample(6, generators[0], labels).shape == (6, 1, 2, 2)
    for z in (torch.zeros(2, 2), torch.zeros(5, 2)):
        torch.testing.assert_close(model.decode(z), model.decode(z, labels[: len(z)]))
    with pytest.raises(ValueError, match="labels must be 6, one per sample, got 2"):
        model.sample(6, generators[0], labels[:2])
    with pytest.raises(ValueError, match="labels must be given for a model of 3 classes"):
        model.log_likelihood(x, generators[0], 3)
    with pytest.raises(ValueError, match=r"labels must be in 0 .. 2, got 3 .. 3"):
        model.log_likelihood(x, generators[0], 3, labels + 3)
    with pytest.raises(ValueError, match="num_importance_samples must be >= 1, got 0"):
        model.log_likelihood(x, generators[0], 0, labels)


def test_a_flow_with_the_score_function_is_refused():
    flow = InverseAutoregressiveFlow(2, 1, 1, [4])
    with pytest.raises(ValueError, match="flow must be null with ScoreFunctionObjective"):
        VAE(
            None,
            None,
            BernoulliLikelihood(),
            NormalPrior(2),
            None,
            0.0,
            None,
            4,
            UnitRange(2),
            objective=ScoreFunctionObjective(2),
            flow=flow,
        )


def test_divergences_of_a_layer_are_those_of_torch():
    model, x, _ = two_layers(shift=0.3)
    draws = model.draw(x, Noise(torch.Generator().manual_seed(0), dtype=torch.float64), 3)
    q = model.posterior(x)
    noise = Noise(torch.Generator().manual_seed(0), dtype=torch.float64)
    divergences = [divergence for _, divergence in model.latents(x, noise, 3)]
    assert [d.shape for d in divergences] == [(3, 500, 2)] * 2
    assert all((d >= 0).all() for d in divergences)
    torch.testing.assert_close(divergences[1], draws.kls[1])
    own = torch.distributions.Normal(q.mu, q.sigma)
    other = torch.distributions.Normal(q.mu + 1, 2 * q.sigma)
    expected = torch.distributions.kl_divergence(own, other)
    shifted = type(q)(q.mu + 1, 2 * q.sigma)
    torch.testing.assert_close(q.kls_to(shifted), expected)


def test_exactly_one_objective():
    with pytest.raises(ValueError, match="exactly one of kl_weight and objective"):
        VAE(None, None, BernoulliLikelihood(), NormalPrior(2), None, 0.0, None, 4, UnitRange(2))
