"""Images from outside: one meaning for the same pixels, whatever their type, or a refusal."""

import numpy as np
import pytest
import torch

from benchmarks.core.errors import UserError
from benchmarks.evaluation.images_from_disk import read_images
from benchmarks.evaluation.sources import TensorSource
from datamodules.synthetic import SyntheticImages


def data(num_levels):
    found = SyntheticImages(
        train_size=30,
        test_size=9,
        seed=0,
        name="s",
        image_shape=[1, 4, 4],
        num_levels=num_levels,
        num_classes=2,
        validation_size=0,
    )
    found.setup()
    return found


def shown(images):
    """Return the images as they are scored, in [0, 255]."""
    source = TensorSource(images.pixels, images.num_levels, 0)
    ordered = torch.empty(len(images.pixels), 1, 4, 4)
    ordered[source.order] = source(range(len(images.pixels)), torch.Generator())
    return ordered


@pytest.mark.parametrize("num_levels", [2, 17, 256])
def test_the_same_pixels_are_the_same_images(tmp_path, num_levels):
    top = num_levels - 1
    levels = np.random.default_rng(0).integers(0, num_levels, (20, 4, 4))
    levels[0, 0, :2] = 0, top
    expected = torch.from_numpy(levels * (255 / top)).float()[:, None]
    for pixels, stated in (
        ((levels * (255 / top)).astype(np.float32), None),
        (levels / top, (0, 1)),
        ((levels / top * 2 - 1).astype(np.float32), (-1, 1)),
        (levels.astype(np.uint8), (0, top)),
        (levels.astype(np.float64), (0, top)),
    ):
        path = tmp_path / "x.npz"
        np.savez(path, images=pixels)
        given = read_images(str(path), data(num_levels), stated)
        torch.testing.assert_close(shown(given), expected, atol=1e-4, rtol=0)
        if stated is not None:
            np.savez(path, images=pixels, value_range=stated)
            kept = read_images(str(path), data(num_levels))
            assert torch.equal(kept.pixels, given.pixels)
            assert kept.num_levels == given.num_levels


@pytest.mark.parametrize(
    ("images", "num_levels"),
    [
        (np.ones((9, 4, 4), np.uint8), 2),  # levels, or nearly black
        (np.full((9, 4, 4), 16, np.uint8), 17),
        (np.ones((9, 4, 4), np.uint8), 256),  # floats in [0, 1] that were cast
        (np.full((9, 4, 4), 15, np.uint8), 256),  # of 16 levels
        (np.full((9, 4, 4), 1.001), 256),
        (np.full((9, 4, 4), 2.5), 256),
        (np.full((9, 4, 4), 0.5, np.float16), 256),
        (np.full((9, 4, 4), -0.1), 256),
        (np.full((9, 4, 4), 255.5), 256),
    ],
)
def test_pixels_that_leave_a_doubt_are_refused(tmp_path, images, num_levels):
    np.savez(tmp_path / "x.npz", images=images)
    with pytest.raises(ValueError, match=f"x.npz must state its range: its {images.dtype} values"):
        read_images(str(tmp_path / "x.npz"), data(num_levels))


def test_pixels_that_leave_none_are_taken(tmp_path):
    for images, num_levels in (
        (np.full((9, 4, 4), 255, np.uint8), 2),
        (np.full((9, 4, 4), 128, np.uint8), 17),
        (np.full((9, 4, 4), 130, np.uint8), 256),
        (np.full((9, 4, 4), 200.5), 256),
    ):
        np.savez(tmp_path / "x.npz", images=images)
        found = read_images(str(tmp_path / "x.npz"), data(num_levels))
        assert torch.equal(shown(found), torch.full((9, 1, 4, 4), float(images[0, 0, 0])))


def test_ranges_that_contradict_each_other(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.full((9, 4, 4), 0.5), value_range=[0, 1])
    with pytest.raises(
        UserError, match=r"value_range must be that of x.npz, \[0, 1\], got \[0, 255"
    ):
        read_images(str(tmp_path / "x.npz"), data(256), [0, 255])
    assert read_images(str(tmp_path / "x.npz"), data(256), [0, 1]).num_levels == 256
    np.savez(tmp_path / "y.npz", images=np.full((9, 4, 4), 5, np.uint8))
    for wrong in ([0, 300], [-255, 255]):
        with pytest.raises(ValueError, match=r"value_range of y.npz must lie in \[0, 255\]"):
            read_images(str(tmp_path / "y.npz"), data(256), wrong)
    with pytest.raises(UserError, match="images must be given"):
        read_images("", data(256))


@pytest.mark.parametrize("stated", [[1, 0], [0], [0, np.nan], [[0, 1]], 5.0, ["a", "b"]])
def test_a_range_that_is_none(tmp_path, stated):
    np.savez(tmp_path / "x.npz", images=np.zeros((9, 4, 4), np.uint8), value_range=stated)
    with pytest.raises(ValueError, match="value_range of x.npz must be two numbers, low and high"):
        read_images(str(tmp_path / "x.npz"), data(256))
