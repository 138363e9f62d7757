"""Triangles: areas and pixels by hand, the distance to the manifold, what is refused."""

import numpy as np
import pytest

from benchmarks.compose import compose_group
from benchmarks.errors import UserError
from benchmarks.instantiate import instantiate
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


def test_gaps_are_at_least_the_smallest(small):
    angles = small._angles["train"]
    gaps = np.diff(angles, axis=1, append=angles[:, :1] + 2 * np.pi)
    np.testing.assert_allclose(gaps.sum(axis=1), 2 * np.pi)
    assert np.rad2deg(gaps.min()) >= 20 - 1e-9
    assert np.rad2deg(gaps.min()) < 21
    assert np.rad2deg(gaps.max()) > 300  # up to 360 - 2 * 20
    assert np.abs(polygon_vertices(angles, 0.75)).max() <= 1  # inside the image


def test_sizes_and_levels(small):
    assert [len(small.split(s)[0]) for s in ("train", "validation", "test")] == [2500, 500, 50]
    x = small.split("test")[0]
    assert (x.amax(dim=(1, 2, 3)) == 255).float().mean() > 0.9  # some are thinner than a pixel
    assert (x.flatten(1)[:, 0] == 0).float().mean() > 0.95
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
    """A lit pixel far from the triangle costs its own brightness; no triangle does better."""
    x = small.split("test")[0].numpy()[:20] / 255
    x[:, 0, 0, 0] = 0.9
    found = small.manifold_distance(x)
    assert (found <= 0.9 + 0.1).all()  # .1: what the search leaves of the distance of the rest
    assert (found >= 0.9 - 1e-6).all()
    blank = small.manifold_distance(np.zeros((1, 1, 28, 28)))[0]
    smallest = np.sqrt(np.square(small._known / 255).sum(axis=(1, 2, 3)).min())
    assert 0 < blank <= smallest


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("image_shape=[3,28,28]", r"image_shape must be \(1, S, S\), got \[3, 28, 28\]"),
        ("num_vertices=2", "num_vertices must be >= 3"),
        ("train_size=10004", "train_size must be > 10004 with validation_size 10000, got 10004"),
        ("min_gap_degrees=120", "num_vertices x min_gap_degrees in"),
    ],
)
def test_impossible_polygons_are_refused(override, message):
    with pytest.raises(UserError, match=message):
        instantiate(compose_group("datamodule", "triangles", [override]), "datamodule")
