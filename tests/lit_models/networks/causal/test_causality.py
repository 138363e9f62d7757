"""Autoregressive networks see earlier dimensions only: strictly triangular Jacobians."""

import pytest
import torch

from lit_models.networks.causal import pixel_cnn as module
from tests.lit_models.autoregressive.networks import ALL, build, gated, pixel_cnn

SHAPES = [(1, 4, 4), (3, 4, 4)]


def seen_by(kind, shape):
    """For each group in raster order: the dimensions its parameters depend on."""
    network, _ = build(kind, shape, levels=5)
    x = torch.randint(0, 5, (1, *shape)).double().requires_grad_()  # continuous on purpose
    parameters = network(x)
    channels, height, width = shape
    share = channels // network.groups
    order = [(c, i, j) for i in range(height) for j in range(width) for c in range(channels)]
    position = {d: n for n, d in enumerate(order)}
    found = []
    for i in range(height):
        for j in range(width):
            for group in range(network.groups):
                weights = torch.randn(parameters.shape[1]).double()
                target = (parameters[0, :, group, i, j] * weights).sum()
                (gradient,) = torch.autograd.grad(target, x, retain_graph=True)
                first = position[group * share, i, j]
                found.append((first, {position[d] for d in order if gradient[0][d] != 0}))
    return found


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ALL)
def test_parameters_depend_on_earlier_dimensions_only(kind, shape):
    found = seen_by(kind, shape)
    assert all(d < first for first, seen in found for d in seen)
    # and they do see their predecessor, but for features that a ReLU switched off
    assert sum(first - 1 in seen for first, seen in found) > len(found) / 2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [k for k in ALL if k is not pixel_cnn])
def test_no_blind_spot(kind, shape):
    """The last pixel sees every pixel above and to the left of it that depth allows: row above."""
    channels, _, width = shape
    for first, seen in seen_by(kind, shape):
        index = first // channels
        row, column = divmod(index, width)
        if row >= 2 and column <= width - 3:
            to_the_right_above = ((row - 1) * width + column + 1) * channels
            assert to_the_right_above in seen


def test_plain_pixel_cnn_has_its_blind_spot():
    """It does not see a pixel far to the right in the row above; the gated one does."""
    shape = (1, 4, 8)

    def sees(kind):
        for first, seen in seen_by(kind, shape):
            if first == 3 * 8 + 1:  # row 3, column 1; is (2, 6) seen?
                return 2 * 8 + 6 in seen
        raise AssertionError

    assert not sees(pixel_cnn)
    assert sees(gated_deep)


def gated_deep(shape, levels, conditions=0):
    from lit_models.likelihoods.pixels import CategoricalPixels
    from lit_models.networks.causal.gated_pixel_cnn import GatedPixelCNN

    return GatedPixelCNN(shape, levels, 4, 6, 3, 3, 4), CategoricalPixels()


def test_the_jacobian_finds_a_leaking_mask(monkeypatch):
    plain = module.causal_mask
    monkeypatch.setattr(
        module, "causal_mask", lambda o, i, groups, strict: plain(o, i, groups, strict=False)
    )
    assert any(first in seen for first, seen in seen_by(pixel_cnn, (1, 4, 4)))


def test_gated_is_all_of_its_own():
    assert gated in ALL
