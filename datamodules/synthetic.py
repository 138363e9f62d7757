"""Random images of any shape, for tests."""

from collections.abc import Sequence

import numpy as np

from datamodules.base import ImageDataModule, Splits

__all__ = ["SyntheticImages"]


class SyntheticImages(ImageDataModule):
    """Uniform random levels and labels. Nothing can be learned from them.

    Args:
        name: Name of the data set.
        image_shape: (C, H, W).
        num_levels: Levels of a pixel.
        num_classes: Number of labels.
        train_size: Number of training images.
        test_size: Number of test images.
        seed: The seed of the draw.
        validation_size: Training images set aside.
        fingerprint: Expected SHA-256 of the arrays, or None.
    """

    def __init__(
        self,
        name: str,
        image_shape: Sequence[int],
        num_levels: int,
        num_classes: int,
        train_size: int,
        test_size: int,
        seed: int,
        validation_size: int,
        fingerprint: str | None = None,
    ) -> None:
        super().__init__(name, image_shape, num_levels, num_classes, validation_size, fingerprint)
        self.train_size, self.test_size, self.seed = train_size, test_size, seed

    def load(self) -> Splits:
        rng = np.random.default_rng(self.seed)
        return Splits(*self._draw(rng, self.train_size), *self._draw(rng, self.test_size))

    def _draw(self, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        images = rng.integers(self.num_levels or 256, size=(size, *self.shape))
        return images.astype(np.uint8), rng.integers(self.num_classes, size=size)
