"""The 8x8 handwritten digits that ship with scikit-learn."""

import numpy as np
from sklearn.datasets import load_digits

from datamodules.base import ImageDataModule, Splits

__all__ = ["Digits"]

TEST_SIZE = 297


class Digits(ImageDataModule):
    """1,797 real images (1, 8, 8) with 17 levels: 1,500 to train, 297 to test, split by seed 0.

    Source: the test set of the UCI "Optical Recognition of Handwritten Digits" data, as
    `sklearn.datasets.load_digits`.
    """

    def load(self) -> Splits:
        images, labels = load_digits(return_X_y=True)
        images = images.astype(np.uint8).reshape(-1, 1, 8, 8)
        labels = labels.astype(np.int64)
        order = np.random.default_rng(0).permutation(len(images))
        train, test = order[:-TEST_SIZE], order[-TEST_SIZE:]
        return Splits(images[train], labels[train], images[test], labels[test])
