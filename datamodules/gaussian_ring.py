"""Gaussians on a ring: the mode-collapse toy of the GAN papers."""

from collections.abc import Sequence

import numpy as np

from datamodules.base import DataModule, Splits

__all__ = ["GaussianRing", "ring_modes"]


def ring_modes(num_modes: int, radius: float) -> np.ndarray:
    """Return the means, (num_modes, 2), evenly spaced from angle 0."""
    angle = 2 * np.pi * np.arange(num_modes) / num_modes
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


class GaussianRing(DataModule):
    """Points (2,) of equally likely isotropic Gaussians on a ring; the label is the mode.

    Args:
        name: Name of the data set.
        event_shape: (2,).
        num_classes: Number of modes (8).
        radius: Radius of the ring (1).
        std: Standard deviation of a mode (.01).
        train_size: Number of training points.
        test_size: Number of test points.
        seed: Of the draw.
        validation_size: Training points set aside.
        fingerprint: Expected SHA-256 of the arrays, or None.

    Raises:
        ValueError: if radius or std is not positive.
    """

    def __init__(
        self,
        name: str,
        event_shape: Sequence[int],
        num_classes: int,
        radius: float,
        std: float,
        train_size: int,
        test_size: int,
        seed: int,
        validation_size: int,
        fingerprint: str | None = None,
    ) -> None:
        super().__init__(name, event_shape, None, num_classes, validation_size, fingerprint)
        if radius <= 0 or std <= 0:
            raise ValueError(f"radius and std must be > 0, got {radius} and {std}")
        self.radius, self.std, self.seed = radius, std, seed
        self.train_size, self.test_size = train_size, test_size

    def load(self) -> Splits:
        rng = np.random.default_rng(self.seed)
        return Splits(*self._draw(rng, self.train_size), *self._draw(rng, self.test_size))

    def _draw(self, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        mode = rng.integers(self.num_classes, size=size)
        means = ring_modes(self.num_classes, self.radius)
        points = means[mode] + self.std * rng.standard_normal((size, 2))
        return points.astype(np.float32), mode
