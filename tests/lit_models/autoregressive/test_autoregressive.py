"""PixelCNN's likelihood over a space small enough to enumerate, and its sampler."""

import copy
import itertools
import math
import re
from functools import partial

import pytest
import torch
from lightning import Callback
from torch.nn.functional import cross_entropy

from datamodules.base import BatchStream
from lit_models.autoregressive.lit_autoregressive import Autoregressive
from lit_models.images import LevelRange, UnitRange
from lit_models.likelihoods.pixels import (
    CategoricalPixels,
    DiscretizedLogisticMixture,
)
from lit_models.networks.causal.gated_pixel_cnn import GatedPixelCNN
from lit_models.networks.causal.pixel_cnn import PixelCNN
from lit_models.networks.causal.pixel_cnn_pp import NormalisedConv2d, PixelCNNPP
from tests.helpers import assert_same_state, bare_trainer


def make(shape=(1, 2, 2), levels=3):
    torch.manual_seed(0)
    network = PixelCNN(shape, levels, 4 * shape[0], 1, 3, 3, 4 * shape[0])
    adam = partial(torch.optim.Adam, lr=1e-2, fused=True)
    model = Autoregressive(network, CategoricalPixels(), shape, adam, 5, LevelRange(levels))
    for p in network.parameters():  # far from uniform
        p.data.mul_(3)
    return model


def all_images(shape, levels):
    values = itertools.product(range(levels), repeat=math.prod(shape))
    return torch.tensor(list(values)).view(-1, *shape)


def test_samples_follow_the_likelihood():
    """Frequencies of all 81 images over 20,000 samples: chi-square below its 1e-4 quantile."""
    model, n = make().eval(), 20_000
    with torch.no_grad():
        expected = model.log_likelihood(all_images((1, 2, 2), 3)).exp() * n
        x = model.sample(n, torch.Generator().manual_seed(0))
    weights = 3 ** torch.arange(3, -1, -1)
    observed = (x.flatten(1) * weights).sum(1).bincount(minlength=81)
    chi_square = ((observed - expected).square() / expected).sum().item()
    assert chi_square < 134  # 80 degrees of freedom


def test_draw_inverts_the_distribution_function():
    logits = torch.tensor([0.2, 0.3, 0.5]).log().expand(5, 3)
    uniform = torch.tensor([0.0, 0.19, 0.21, 0.51, 1 - 1e-12]).double()
    assert CategoricalPixels().draw(logits, uniform[:, None]).flatten().tolist() == [
        0,
        0,
        1,
        2,
        2,
    ]


def test_equals_a_plain_loop():
    model = make()
    expected = copy.deepcopy(model)
    x = torch.randint(0, 3, (20, 1, 2, 2), dtype=torch.uint8)
    labels = torch.zeros(20, dtype=torch.long)
    bare_trainer(4).fit(model, BatchStream(x, labels, 5))
    optimizer = expected.configure_optimizers()
    for _, (batch, _) in zip(range(4), BatchStream(x, labels, 5), strict=False):
        loss = cross_entropy(expected.network(batch), batch.long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # the mean is taken in another order
    assert_same_state(model.state_dict(), expected.state_dict(), rtol=1e-5, atol=1e-6)
    assert model.images_seen == 20


def conditional(num_classes=3, **settings):
    torch.manual_seed(0)
    network = GatedPixelCNN((1, 4, 4), 5, 4, 2, 3, 3, 4, condition_features=num_classes)
    adam = partial(torch.optim.Adam, lr=1e-2)
    return Autoregressive(
        network,
        CategoricalPixels(),
        (1, 4, 4),
        adam,
        5,
        LevelRange(5),
        num_classes=num_classes,
        **settings,
    )


def test_conditional_likelihoods_and_samples_follow_the_label():
    model = conditional()
    for layer in (model.network.first, *model.network.layers):
        layer.condition.weight.data.mul_(20)
    x = torch.randint(0, 5, (3, 1, 4, 4))
    with torch.no_grad():
        by_label = [model.log_likelihood(x, labels=torch.full((3,), y)) for y in range(3)]
    assert not torch.equal(by_label[0], by_label[1])
    generators = [torch.Generator().manual_seed(0) for _ in range(3)]
    labels = torch.zeros(6, dtype=torch.long)
    zeros = model.sample(6, generators[0], labels)
    assert torch.equal(zeros, model.sample(6, generators[1], labels))
    assert not torch.equal(zeros, model.sample(6, generators[2]))  # labels in turn


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "labels must be given for a model of 3 classes, got None"),
        (torch.tensor([0, 3]), "labels must be in 0 .. 2, got 0 .. 3"),
    ],
)
def test_wrong_labels(labels, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        conditional().log_likelihood(torch.zeros(2, 1, 4, 4, dtype=torch.long), labels=labels)


def test_wrong_levels():
    with pytest.raises(ValueError, match=re.escape("x must be levels 0 .. 2, got 0 .. 3")):
        make().log_likelihood(torch.tensor([0, 1, 2, 3]).view(1, 1, 2, 2))
    with pytest.raises(ValueError, match="x must be integer levels, got torch.float32"):
        make().log_likelihood(torch.zeros(1, 1, 2, 2))


def test_network_likelihood_and_classes_must_fit():
    network = PixelCNN((1, 2, 2), 3, 4, 1, 3, 3, 4)
    likelihood = CategoricalPixels()
    with pytest.raises(ValueError, match="num_levels of the network must be the data's 2, got 3"):
        Autoregressive(network, likelihood, (1, 2, 2), None, 5, LevelRange(2))
    with pytest.raises(ValueError, match="num_classes must be the network's 0 condition features"):
        Autoregressive(network, likelihood, (1, 2, 2), None, 5, LevelRange(3), num_classes=2)


def test_averaged_weights_follow_each_step():
    model = conditional(ema_decay=0.9)
    x = torch.randint(0, 5, (20, 1, 4, 4), dtype=torch.uint8)
    labels = torch.arange(20) % 3
    averaged = copy.deepcopy(model.network)
    live = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer, module, *rest):
            live.append(copy.deepcopy(module.network))

    bare_trainer(3, callbacks=[Watch()]).fit(model, BatchStream(x, labels, 5))
    for network in live:
        for mine, theirs in zip(averaged.parameters(), network.parameters(), strict=True):
            mine.data.lerp_(theirs.data, 0.1)
    assert_same_state(model.ema_network.state_dict(), averaged.state_dict(), rtol=1e-6, atol=1e-7)
    model.weights = "ema"
    assert model.chosen is model.ema_network


def test_gradients_are_clipped():
    x = torch.randint(0, 5, (20, 1, 4, 4), dtype=torch.uint8)
    norms = []
    for limit in (None, 1e-3):
        model = conditional(clip_grad_norm=limit)
        bare_trainer(1).fit(model, BatchStream(x, torch.arange(20) % 3, 5))
        norms.append(torch.stack([p.grad.norm() for p in model.network.parameters()]).norm())
    assert norms[0] > 1e-2
    assert norms[1].item() == pytest.approx(1e-3, rel=1e-3)


def test_the_first_batch_sets_gains_and_biases():
    """Outputs of every normalised layer then have mean 0 and their scale as deviation."""
    torch.manual_seed(0)
    likelihood = DiscretizedLogisticMixture(2, 5)
    network = PixelCNNPP((1, 4, 4), 5, 6, 1, 2, 0.0, likelihood.num_outputs(1))
    x = torch.randint(0, 5, (64, 1, 4, 4))
    network.start(x)
    layers = [m for m in network.modules() if isinstance(m, NormalisedConv2d)]
    found = {}
    for layer in layers:
        layer.register_forward_hook(
            lambda m, _, y: found.update({m: y.transpose(0, 1).flatten(1)})
        )
    network(x)
    assert len(found) == len(layers) > 20
    for layer, y in found.items():
        torch.testing.assert_close(y.mean(1), torch.zeros(len(y)), rtol=0, atol=1e-4)
        varies = y.std(1) > 1e-3
        expected = torch.full_like(y.std(1)[varies], layer.scale)
        torch.testing.assert_close(y.std(1)[varies], expected, rtol=1e-3, atol=1e-3)
        assert varies.float().mean() > 0.7


def test_autocast_does_not_change_the_start():
    networks = []
    for enabled in (False, True):
        torch.manual_seed(0)
        network = PixelCNNPP((1, 4, 4), 5, 6, 1, 2, 0.0, 6)
        x = torch.randint(0, 5, (16, 1, 4, 4), generator=torch.Generator().manual_seed(1))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            network.start(x)
        networks.append(network.state_dict())
    assert_same_state(*networks)


def test_other_ranges_are_refused():
    network = PixelCNN((1, 2, 2), 2, 4, 1, 3, 3, 4)
    with pytest.raises(ValueError, match="data_range must be LevelRange, got UnitRange"):
        Autoregressive(network, CategoricalPixels(), (1, 2, 2), None, 5, UnitRange(2))


def test_only_the_first_batch_of_a_run_sets_them():
    torch.manual_seed(0)
    likelihood = DiscretizedLogisticMixture(2, 5)
    network = PixelCNNPP((1, 4, 4), 5, 6, 1, 2, 0.0, likelihood.num_outputs(1))
    model = Autoregressive(
        network,
        likelihood,
        (1, 4, 4),
        partial(torch.optim.SGD, lr=0.0),
        5,
        LevelRange(5),
        ema_decay=0.5,
    )
    x = torch.randint(0, 5, (20, 1, 4, 4), dtype=torch.uint8)
    stream = BatchStream(x, torch.zeros(20, dtype=torch.long), 5)
    bare_trainer(3).fit(model, stream)
    expected = copy.deepcopy(network)
    expected.start(next(iter(stream))[0].long())
    assert_same_state(network.state_dict(), expected.state_dict())
    assert_same_state(model.ema_network.state_dict(), expected.state_dict())


def test_labels_for_a_model_of_none_are_refused():
    with pytest.raises(
        ValueError, match="labels must be None for a model that is not conditional"
    ):
        make().sample(2, torch.Generator(), torch.zeros(2, dtype=torch.long))


@pytest.mark.parametrize(
    ("given", "num_given", "message"),
    [
        (torch.zeros(2, 1, 2, 2).long(), 5, "num_given must be in 0 .. 4, got 5"),
        (torch.zeros(1, 1, 2, 2).long(), 1, r"given must have shape \(2, 1, 2, 2\), got"),
        (torch.full((2, 1, 2, 2), 3), 1, r"must be .*0 .. 2"),
    ],
)
def test_what_is_given_of_a_completion_must_fit(given, num_given, message):
    with pytest.raises(ValueError, match=message):
        make().complete(given, num_given, 2, torch.Generator())


def test_a_norm_to_clip_at_is_positive():
    model = make()
    with pytest.raises(ValueError, match="clip_grad_norm must be > 0 or null, got 0"):
        Autoregressive(
            model.network, model.likelihood, (1, 2, 2), None, 5, LevelRange(3), clip_grad_norm=0.0
        )
