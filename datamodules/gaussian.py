"""One Gaussian: the distribution on which metrics have values that are known."""

from typing import Any

import numpy as np

from datamodules.vectors import DrawnVectors

__all__ = ["StandardGaussian"]


class StandardGaussian(DrawnVectors):
    """Vectors (D,) of N(0, I); one label for all.

    Args:
        shared: The arguments of `DrawnVectors` but the number of labels.
    """

    def __init__(self, **shared: Any) -> None:
        super().__init__(num_classes=1, **shared)

    def draw(self, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        vectors = rng.standard_normal((size, *self.shape), dtype=np.float32)
        return vectors, np.zeros(size, dtype=np.int64)
