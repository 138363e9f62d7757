"""Gaussians on a square grid: 25 modes in the papers."""

from collections.abc import Sequence

import numpy as np

from datamodules.gaussian_ring import GaussianModes

__all__ = ["GaussianGrid"]


class GaussianGrid(GaussianModes):
    """Points (2,) of equally likely isotropic Gaussians at all pairs of `positions`.

    Args:
        name: Name of the data set.
        event_shape: (2,).
        num_classes: Number of modes, the square of the number of positions.
        positions: Coordinates of the means ({-4, -2, 0, 2, 4}).
        std: Standard deviation of a mode (.05).
        train_size: Number of training points.
        test_size: Number of test points.
        seed: The seed of the draw.
        validation_size: Training points set aside.
        fingerprint: Expected SHA-256 of the arrays, or None.

    Raises:
        ValueError: if std is not positive, or the numbers of modes and positions do not fit.
    """

    def __init__(
        self,
        name: str,
        event_shape: Sequence[int],
        num_classes: int,
        positions: Sequence[float],
        std: float,
        train_size: int,
        test_size: int,
        seed: int,
        validation_size: int,
        fingerprint: str | None = None,
    ) -> None:
        if len(positions) ** 2 != num_classes:
            raise ValueError(
                f"num_classes must be {len(positions) ** 2}, the square of the number of "
                f"positions, got {num_classes}"
            )
        grid = np.stack(np.meshgrid(positions, positions, indexing="ij"), axis=-1)
        super().__init__(
            name,
            event_shape,
            grid.reshape(-1, 2).astype(float),
            std,
            train_size,
            test_size,
            seed,
            validation_size,
            fingerprint,
        )
