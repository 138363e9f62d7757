"""Gaussians on a ring: the mode-collapse toy of the GAN papers."""

from typing import Any

import numpy as np

from datamodules.vectors import DrawnVectors

__all__ = ["GaussianModes", "GaussianRing", "ring_modes"]


def ring_modes(num_modes: int, radius: float) -> np.ndarray:
    """Return the means, (num_modes, 2), evenly spaced from angle 0."""
    angle = 2 * np.pi * np.arange(num_modes) / num_modes
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


class GaussianModes(DrawnVectors):
    """Points (2,) of equally likely isotropic Gaussians; the label is the mode.

    Args:
        modes: Means, (number of modes, 2).
        std: Standard deviation of a mode.
        shared: The arguments of `DrawnVectors` but the number of labels.

    Raises:
        ValueError: if std is not positive.
    """

    def __init__(self, modes: np.ndarray, std: float, **shared: Any) -> None:
        super().__init__(num_classes=len(modes), **shared)
        if std <= 0:
            raise ValueError(f"std must be > 0, got {std}")
        self.modes, self.std = modes, std

    def draw(self, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
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
