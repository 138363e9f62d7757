"""Gaussians on a ring: the mode-collapse toy of the GAN papers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from datamodules.base import DataModule, DataSpec, Splits

__all__ = ["GaussianModes", "GaussianRing", "ring_modes"]


def ring_modes(num_modes: int, radius: float) -> np.ndarray:
    """Return the means, (num_modes, 2), evenly spaced from angle 0."""
    angle = 2 * np.pi * np.arange(num_modes) / num_modes
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


class GaussianModes(DataModule):
    """Points (2,) of equally likely isotropic Gaussians; the label is the mode.

    Args:
        name: Name of the data set.
        event_shape: (2,).
        modes: Means, (number of modes, 2).
        std: Standard deviation of a mode.
        train_size: Number of training points.
        test_size: Number of test points.
        seed: The seed of the draw.
        validation_size: Training points set aside.
        fingerprint: Expected SHA-256 of the arrays, or None.

    Raises:
        ValueError: if std is not positive.
    """

    def __init__(
        self,
        name: str,
        event_shape: Sequence[int],
        modes: np.ndarray,
        std: float,
        train_size: int,
        test_size: int,
        seed: int,
        validation_size: int,
        fingerprint: str | None = None,
    ) -> None:
        shape = tuple(event_shape)
        super().__init__(
            DataSpec(name, "vectors", shape, None, len(modes), validation_size, fingerprint)
        )
        if std <= 0:
            raise ValueError(f"std must be > 0, got {std}")
        self.modes, self.std, self.seed = modes, std, seed
        self.train_size, self.test_size = train_size, test_size

    def load(self) -> Splits:
        rng = np.random.default_rng(self.seed)
        return Splits(*self._draw(rng, self.train_size), *self._draw(rng, self.test_size))

    def _draw(self, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        mode = rng.integers(len(self.modes), size=size)
        points = self.modes[mode] + self.std * rng.standard_normal((size, 2))
        return points.astype(np.float32), mode


class GaussianRing(GaussianModes):
    """Gaussians evenly spaced on a ring around the origin.

    Args:
        num_classes: The number of modes (8).
        radius: The radius of the ring (1).
        shared: The arguments of `GaussianModes` but the modes.

    Raises:
        ValueError: if radius or std is not positive.
    """

    def __init__(self, num_classes: int, radius: float, **shared: Any) -> None:
        if radius <= 0:
            raise ValueError(f"radius must be > 0, got {radius}")
        super().__init__(modes=ring_modes(num_classes, radius), **shared)
