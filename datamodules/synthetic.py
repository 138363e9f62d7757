"""Random images of any shape, for tests."""

from typing import Any

import numpy as np

from datamodules.base import ImageDataModule, Splits

__all__ = ["SyntheticImages"]


class SyntheticImages(ImageDataModule):
    """Uniform random levels and labels. Nothing can be learned from them.

    Args:
        train_size: Number of training images.
        test_size: Number of test images.
        seed: The seed of the draw.
        shared: The arguments of `ImageDataModule`.
    """

    def __init__(
        self,
        train_size: int,
        test_size: int,
        seed: int,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.train_size, self.test_size, self.seed = train_size, test_size, seed

    def load(self) -> Splits:
        rng = np.random.default_rng(self.seed)
        return Splits(*self._draw(rng, self.train_size), *self._draw(rng, self.test_size))

    def _draw(self, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        images = rng.integers(self.num_levels or 256, size=(size, *self.shape))
        return images.astype(np.uint8), rng.integers(self.num_classes, size=size)
