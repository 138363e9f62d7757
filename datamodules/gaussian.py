"""One Gaussian: the distribution on which metrics have values that are known."""

from collections.abc import Sequence

import numpy as np

from datamodules.base import DataModule, DataSpec, Splits

__all__ = ["StandardGaussian"]


class StandardGaussian(DataModule):
    """Vectors (D,) of N(0, I); one label for all.

    Args:
        name: Name of the data set.
        event_shape: (D,).
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
        train_size: int,
        test_size: int,
        seed: int,
        validation_size: int,
        fingerprint: str | None = None,
    ) -> None:
        shape = tuple(event_shape)
        super().__init__(DataSpec(name, "vectors", shape, None, 1, validation_size, fingerprint))
        self.train_size, self.test_size, self.seed = train_size, test_size, seed

    def load(self) -> Splits:
        rng = np.random.default_rng(self.seed)
        return Splits(*self._draw(rng, self.train_size), *self._draw(rng, self.test_size))

    def _draw(self, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        vectors = rng.standard_normal((size, *self.shape), dtype=np.float32)
        return vectors, np.zeros(size, dtype=np.int64)
