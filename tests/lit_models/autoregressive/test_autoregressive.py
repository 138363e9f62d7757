"""PixelCNN's likelihood over a space small enough to enumerate, and its sampler."""

import copy
import itertools
import math
from functools import partial

import pytest
import torch
from torch.nn.functional import cross_entropy

from datamodules.base import BatchStream
from lit_models.autoregressive.likelihoods import CategoricalLikelihood
from lit_models.autoregressive.lit_autoregressive import Autoregressive
from lit_models.autoregressive.sampling import sample_in_raster_order
from lit_models.images import LevelRange
from lit_models.networks.pixel_cnn import PixelCNN
from lit_models.noise import Noise
from tests.helpers import assert_same_state, bare_trainer


def make(shape=(1, 2, 2), levels=3):
    torch.manual_seed(0)
    network = PixelCNN(shape, levels, 4 * shape[0], 1, 3, 3, 4 * shape[0])
    adam = partial(torch.optim.Adam, lr=1e-2, fused=True)
    model = Autoregressive(network, CategoricalLikelihood(), shape, adam, 5, LevelRange(levels))
    for p in network.parameters():  # far from uniform
        p.data.mul_(3)
    return model


def all_images(shape, levels):
    values = itertools.product(range(levels), repeat=math.prod(shape))
    return torch.tensor(list(values)).view(-1, *shape)


@pytest.mark.parametrize("shape", [(1, 2, 2), (2, 2, 1)])
def test_probabilities_sum_to_one_over_all_images(shape):
    model = make(shape).double()
    with torch.no_grad():
        p = model.log_likelihood(all_images(shape, 3)).exp()
    assert p.sum().item() == pytest.approx(1.0, abs=1e-12)
    assert p.max() > 2 / 81  # and it is not the uniform model


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


def test_sampling_by_rows_equals_whole_images():
    model = make((1, 4, 4), levels=5)
    noise = [Noise(torch.Generator().manual_seed(3), dtype=torch.float64) for _ in range(2)]
    with torch.no_grad():
        rows = sample_in_raster_order(model.network, model.likelihood, (6, 1, 4, 4), noise[0])
        uniform = noise[1]((6, 4, 4, 1), "uniform")
        whole = torch.zeros(6, 1, 4, 4, dtype=torch.long)
        for i, j in itertools.product(range(4), range(4)):
            logits = model.network(whole)[:, :, 0, i, j]
            whole[:, 0, i, j] = model.likelihood.draw(logits, uniform[:, i, j, 0])
    assert torch.equal(rows, whole)


def test_draw_inverts_the_distribution_function():
    logits = torch.tensor([0.2, 0.3, 0.5]).log().expand(5, 3)
    uniform = torch.tensor([0.0, 0.19, 0.21, 0.51, 1 - 1e-12]).double()
    assert CategoricalLikelihood().draw(logits, uniform).tolist() == [0, 0, 1, 2, 2]


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
