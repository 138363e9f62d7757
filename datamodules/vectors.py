"""Vectors that are drawn by a seed from a distribution that is known."""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from datamodules.base import DataModule, DataSpec, Splits

__all__ = ["DrawnVectors"]


class DrawnVectors(DataModule):
    """Training and test vectors of one distribution, drawn in turn by one generator.

    Args:
        name: Name of the data set.
        event_shape: (D,).
        num_classes: Number of labels.
        train_size: Number of training vectors.
        test_size: Number of test vectors.
        seed: The seed of the draw.
        validation_size: Training vectors set aside.
        fingerprint: Expected SHA-256 of the arrays, or None.
    """

    def __init__(
        self,
        name: str,
        event_shape: Sequence[int],
        num_classes: int,
        train_size: int,
        test_size: int,
        seed: int,
        validation_size: int,
        fingerprint: str | None = None,
    ) -> None:
        shape = tuple(event_shape)
        super().__init__(
            DataSpec(name, "vectors", shape, None, num_classes, validation_size, fingerprint)
        )
        self.train_size, self.test_size, self.seed = train_size, test_size, seed

    def load(self) -> Splits:
        rng = np.random.default_rng(self.seed)
        return Splits(*self.draw(rng, self.train_size), *self.draw(rng, self.test_size))

    @abstractmethod
    def draw(self, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return vectors (size, D) as float32, and labels (size,)."""
