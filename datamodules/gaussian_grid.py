"""Gaussians on a square grid: 25 modes in the papers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from datamodules.gaussian_ring import GaussianModes

__all__ = ["GaussianGrid"]


class GaussianGrid(GaussianModes):
    """Points (2,) of equally likely isotropic Gaussians at all pairs of `positions`.

    Args:
        num_classes: The number of modes, the square of the number of positions.
        positions: The coordinates of the means ({-4, -2, 0, 2, 4}).
        shared: The arguments of `GaussianModes` but the modes.

    Raises:
        ValueError: if std is not positive, or the numbers of modes and positions do not fit.
    """

    def __init__(self, num_classes: int, positions: Sequence[float], **shared: Any) -> None:
        if len(positions) ** 2 != num_classes:
            raise ValueError(
                f"num_classes must be {len(positions) ** 2}, the square of the number of "
                f"positions, got {num_classes}"
            )
        grid = np.stack(np.meshgrid(positions, positions, indexing="ij"), axis=-1)
        super().__init__(modes=grid.reshape(-1, 2).astype(float), **shared)
