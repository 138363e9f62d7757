"""Triangles: areas and pixels by hand, the distance to the manifold, what is refused."""

import numpy as np
import pytest

from benchmarks.config.compose import compose_group
from benchmarks.config.instantiate import instantiate
from benchmarks.core.errors import UserError
from datamodules.triangles import polygon_vertices, rasterise


@pytest.fixture(scope="module")
def small():
    overrides = ["train_size=3000", "test_size=50", "validation_size=500", "fingerprint=null"]
    data = instantiate(compose_group("datamodule", "triangles", overrides), "datamodule")
    data.setup()
    return data


def test_half_of_a_square_of_pixels():
    """The lower right half of [-1, 1]^2: pixels on the diagonal are half covered, by 10 of 16."""
    corners = np.array([[[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0]]])
    (image,) = rasterise(corners, side=4, subpixels=4)
    # a centre on the edge itself counts as left of it
    assert np.array_equal(np.diag(image), np.full(4, 10 / 16))
    assert np.array_equal(image[np.triu_indices(4, 1)], np.ones(6))
    assert not image[np.tril_indices(4, -1)].any()


def test_covered_area_is_the_polygons():
    rng = np.random.default_rng(0)
    angles = np.sort(rng.uniform(0, 2 * np.pi, (200, 3)), axis=1)
    v = polygon_vertices(angles, 0.75)
    a, b = v[:, 1] - v[:, 0], v[:, 2] - v[:, 0]
    area = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2
    found = rasterise(v, side=28, subpixels=8).sum(axis=(1, 2)) * (2 / 28) ** 2
    np.testing.assert_allclose(found, area, atol=0.01)  # the perimeter times half a cell
    np.testing.assert_allclose(v.mean(axis=1), 0, atol=1e-12)


def drawn_as_in_the_notebook(angles, side=28, subpixels=8, scale=0.75):
    """One image by the notebook's own steps, from angles that are turned already, (S, S)."""
    points = (np.stack([np.cos(angles), np.sin(angles)], axis=1) + 1) / 2 * side * scale
    points = (points + side / 2 - points.mean(axis=0)) * subpixels
    x, y = np.mgrid[0 : side * subpixels, 0 : side * subpixels]
    inside = np.ones(x.shape, dtype=bool)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        inside &= (x1 - x0) * (y - y0) > (y1 - y0) * (x - x0)
    # a convolution with 8x8 ones, whose window reaches from 3 before to 4 after, white outside
    padded = np.pad((~inside).astype(float), ((3, 4), (3, 4)), constant_values=1.0)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (subpixels, subpixels))
    return windows[::subpixels, ::subpixels].mean(axis=(2, 3))


def test_images_are_those_of_the_notebook(small):
    for i in range(20):
        expected = drawn_as_in_the_notebook(small._angles["train"][i])
        found = small._known[i, 0] / 255
        np.testing.assert_allclose(found, expected, atol=0.5 / 255 + 1e-6)  # rounded to levels


def test_angles_are_those_of_the_notebook(small):
    """Each in its segment of 120 degrees but for its first 10, turned by up to 2 pi degrees."""
    angles = np.rad2deg(small._angles["train"])
    low, high = np.array([10, 130, 250]), np.array([120, 240, 360])
    turn_least, turn_most = (low - angles).max(axis=1), (high - angles).min(axis=1)
    assert (turn_least <= turn_most + 1e-9).all()
    assert turn_least.max() <= 2 * np.pi + 1e-9
    assert turn_most.min() >= -1e-9
    spread = angles.max(axis=0) - angles.min(axis=0)
    assert (spread > 114).all()  # 110 and the turn
    assert (spread < 110 + 2 * np.pi).all()


def test_share_of_black_is_that_of_the_notebook(small):
    """.133 +- .036, measured on the notebook's own images."""
    share = 1 - small._known.mean(axis=(1, 2, 3)) / 255
    assert share.mean() == pytest.approx(0.133, abs=4 * 0.036 / np.sqrt(3000))
    assert share.std() == pytest.approx(0.036, abs=0.002)


def test_angles_that_can_be_drawn_stay_and_others_become_such(small):
    angles = small._angles["train"]
    np.testing.assert_allclose(small._admissible(angles), angles, atol=1e-12)
    moved = small._admissible(angles + np.random.default_rng(0).normal(0, 0.5, angles.shape))
    np.testing.assert_allclose(small._admissible(moved), moved, atol=1e-12)
    assert np.abs(moved - angles).max() > 0.1


def test_sizes_and_levels(small):
    assert [len(small.split(s)[0]) for s in ("train", "validation", "test")] == [2500, 500, 50]
    x = small.split("test")[0]
    assert (x.amin(dim=(1, 2, 3)) == 0).float().mean() > 0.9  # some are thinner than a pixel
    assert (x.flatten(1)[:, 0] == 255).float().mean() > 0.95
    twice = instantiate(
        compose_group("datamodule", "triangles", ["train_size=3000", "test_size=50",
                                                  "validation_size=500", "fingerprint=null"]),
        "datamodule",
    )  # fmt: skip
    twice.setup()
    assert twice.found_fingerprint == small.found_fingerprint


@pytest.mark.slow
def test_the_pinned_fingerprint_is_that_of_the_whole_set():
    data = instantiate(compose_group("datamodule", "triangles"), "datamodule")
    data.setup()
    assert data.found_fingerprint == data.fingerprint


def test_distance_to_the_manifold(small):
    """Unseen triangles are on it; the nearest training images alone would not say so."""
    x = small.split("test")[0].numpy() / 255
    assert small.manifold_distance(x).max() < 0.75
    known = small._known.reshape(3000, -1) / 255
    nearest = [np.sqrt(np.square(known - image.ravel()).sum(1).min()) for image in x[:10]]
    assert np.median(nearest) > 0.75


def test_distance_of_images_off_the_manifold(small):
    """A dark pixel far from the triangle costs its own darkness; no triangle does better."""
    x = small.split("test")[0].numpy()[:20] / 255
    x[:, 0, 0, 0] = 0.1
    found = small.manifold_distance(x)
    assert (found <= 0.9 + 0.1).all()  # .1: what the search leaves of the distance of the rest
    assert (found >= 0.9 - 1e-6).all()
    blank = small.manifold_distance(np.ones((1, 1, 28, 28)))[0]
    smallest = np.sqrt(np.square(1 - small._known / 255).sum(axis=(1, 2, 3)).min())
    assert 0 < blank <= smallest


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("image_shape=[3,28,28]", r"image_shape must be \(1, S, S\), got \[3, 28, 28\]"),
        ("num_vertices=2", "num_vertices must be >= 3"),
        ("train_size=10004", "train_size must be > 10004 with validation_size 10000, got 10004"),
        ("min_angle_degrees=120", "num_vertices x min_angle_degrees in"),
    ],
)
def test_impossible_polygons_are_refused(override, message):
    with pytest.raises(UserError, match=message):
        instantiate(compose_group("datamodule", "triangles", [override]), "datamodule")
