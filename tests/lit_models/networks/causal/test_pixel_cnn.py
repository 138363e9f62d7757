"""PixelCNN sees earlier dimensions only: its Jacobian is triangular, channels included."""

import pytest
import torch

from lit_models.networks.causal.pixel_cnn import MaskedConv2d, PixelCNN


def network(channels=1, levels=5):
    torch.manual_seed(0)
    return PixelCNN((channels, 4, 4), levels, 24, 2, 3, 5, 24).double()


@pytest.mark.parametrize("channels", [1, 3])
def test_logits_depend_on_earlier_dimensions_only(channels):
    """Dimension i in raster order, channels within a pixel, must not see itself or later ones."""
    net = network(channels)
    x = torch.randn(1, channels, 4, 4, dtype=torch.float64, requires_grad=True)
    logits = net.layers(x).unflatten(1, (channels, 5)).transpose(1, 2)
    order = [(c, i, j) for i in range(4) for j in range(4) for c in range(channels)]
    for position, (c, i, j) in enumerate(order):
        (gradient,) = torch.autograd.grad(logits[0, :, c, i, j].sum(), x, retain_graph=True)
        seen = [d for d in order if gradient[0][d] != 0]
        assert all(order.index(d) < position for d in seen)
        if c > 0 or j > 0:  # it does see its predecessor in the row
            assert order[position - 1] in seen


def test_shape():
    x = torch.randint(0, 5, (2, 3, 4, 4))
    assert network(3)(x).shape == (2, 5, 3, 4, 4)


def test_mask_a_hides_the_pixel_itself():
    a = MaskedConv2d(1, 1, 3, 1, strict=True).mask[0, 0]
    b = MaskedConv2d(1, 1, 3, 1).mask[0, 0]
    assert a.tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert b.tolist() == [[1, 1, 1], [1, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("sizes", "match"),
    [((5, 1, 3, 7, 4), "features must be a multiple"), ((4, 1, 4, 7, 4), "must be odd")],
)
def test_refuses_wrong_sizes(sizes, match):
    with pytest.raises(ValueError, match=match):
        PixelCNN((1, 8, 8), 17, *sizes)
