"""The protocol of images that no experiment knows, and what is said where none fits."""

import numpy as np
import pytest

from benchmarks.evaluation.default_protocol import default_protocol
from benchmarks.evaluation.images_from_disk import GivenImages, images_of


def data_of(count, *shape):
    pixels = np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)
    data = GivenImages(images_of(pixels, "x"), "x")
    data.setup()
    return data


@pytest.fixture(autouse=True)
def _without_inception(monkeypatch, tmp_path):
    monkeypatch.setenv("DGMBENCH_DATA", str(tmp_path))


@pytest.mark.parametrize(
    ("count", "shape", "name"),
    [
        (65, (28, 28), "fd_lenet_65_test65"),
        (200, (8, 8, 3), "fd_lenet_rgb28_200_test200"),
        (192, (8, 8, 3), "fd_lenet_grey28_192_test192"),
        (2050, (4, 4), "fd_lenet_grey28_2050_test2050"),
        (64, (28, 28), None),
    ],
)
def test_the_first_that_fits(count, shape, name):
    found, tried = default_protocol(data_of(count, *shape))
    assert found == name
    missing = "run `dgmbench prefetch inception_2015`" if count > 2048 else "more than 2048"
    assert tried.startswith(f"not fid_{count}_test{count}: ")
    assert missing in tried
    if name is None:
        assert "more than 64 real samples, got 64" in tried


def test_counts_are_at_most_ten_thousand():
    assert default_protocol(data_of(10_500, 4, 4))[0] == "fd_lenet_grey28_10k_test10k"
