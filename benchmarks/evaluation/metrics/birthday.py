"""The birthday paradox test of the support's size."""

import torch
from torch import Tensor

from benchmarks.evaluation.metrics.neighbours import closest_pair
from benchmarks.evaluation.metrics.stored import StoredFeatures

__all__ = ["Birthday"]


class Birthday(StoredFeatures):
    """Share of small batches of samples that hold two alike.

    Arora and Zhang, 2017, https://arxiv.org/abs/1706.08224: if batches of s samples often hold
    duplicates, the support has about s^2 members. Where they judge by eye, "alike" is here
    calibrated on real images: equal, or nearer than the closest pair of any batch of as many real
    ones (batches with equal real images left out). A model as diverse as the data scores about
    1 / (number of real batches + 1).

    Args:
        batch_size: s.

    Raises:
        ValueError: if batch_size < 2; from compute, with fewer features of a side.
    """

    higher_is_better = False
    value_names = ("birthday_collisions", "birthday_distance")

    def __init__(self, batch_size: int) -> None:
        if batch_size < 2:
            raise ValueError(f"batch_size must be >= 2, got {batch_size}")
        super().__init__(least=batch_size)
        self.batch_size = batch_size

    def compute(self) -> dict[str, Tensor]:
        """Return the share, and the distance below which two are alike; float64 scalars."""
        real, fake = self._closest("real"), self._closest("fake")
        threshold = real[real > 0].min() if bool((real > 0).any()) else real.min()
        collisions = ((fake < threshold) | (fake == 0)).double().mean()
        return {"birthday_collisions": collisions, "birthday_distance": threshold.double()}

    def _closest(self, side: str) -> Tensor:
        """Return the smallest distance within each whole batch."""
        x = self.rows(side)
        whole = x[: len(x) // self.batch_size * self.batch_size].split(self.batch_size)
        return torch.stack([closest_pair(part) for part in whole])
