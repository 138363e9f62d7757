"""Stacked MNIST on a tiny made-up MNIST: labels, splits, the seed."""

import numpy as np
import pytest

from datamodules.stacked_mnist import StackedMnist


def build(root, seed=0, **more):
    return StackedMnist(
        train_size=50,
        test_size=20,
        seed=seed,
        made_from="mnist",
        root=str(root),
        name="stacked_mnist",
        image_shape=[3, 28, 28],
        num_levels=256,
        num_classes=1000,
        validation_size=0,
        **more,
    )


@pytest.fixture
def digits(tmp_path):
    """Images whose level is 10 times their label, 100 more in the test split."""
    labels = np.arange(10).repeat(3)
    images = np.broadcast_to((10 * labels)[:, None, None], (30, 28, 28)).astype(np.uint8)
    arrays = {"train_images": images, "train_labels": labels}
    arrays |= {"test_images": images + 100, "test_labels": labels}
    np.savez(tmp_path / "mnist.npz", **arrays)
    return tmp_path


def test_labels_are_the_digits_of_the_colours(digits):
    data = build(digits)
    data.setup()
    for split, offset, size in (("train", 0, 50), ("test", 100, 20)):
        x, labels = data.split(split)
        assert x.shape == (size, 3, 28, 28)
        found = (x[:, :, 0, 0].long() - offset) // 10
        assert (found[:, 0] * 100 + found[:, 1] * 10 + found[:, 2]).equal(labels)
    assert len(labels.unique()) > 10


def test_training_triples_of_all_digits(digits):
    """Levels of 100 and more are of test digits; the test triples stay of these alone."""
    data = build(digits, train_on_all_digits=True)
    data.setup()
    found = {s: data.split(s)[0][:, :, 0, 0] >= 100 for s in ("train", "test")}
    assert 0.3 < found["train"].float().mean() < 0.7
    assert found["test"].all()


def test_the_seed_decides(digits):
    first, same, other = build(digits), build(digits), build(digits, seed=1)
    for data in (first, same, other):
        data.setup()
    assert first.found_fingerprint == same.found_fingerprint != other.found_fingerprint


def test_missing_digits_are_named(tmp_path):
    with pytest.raises(ValueError, match="mnist is missing: run `dgmbench prefetch mnist`"):
        build(tmp_path).setup()
