"""Share of distances within a threshold: precision and recall on a known manifold."""

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["ShareWithin"]


class ShareWithin(Metric):
    """Number of distances <= threshold, divided by their number.

    Args:
        threshold: Largest distance that counts.

    Raises:
        ValueError: if the threshold is not positive; from compute, without any distance.
    """

    full_state_update = False
    higher_is_better = True

    def __init__(self, threshold: float) -> None:
        super().__init__()
        if threshold <= 0:
            raise ValueError(f"threshold must be > 0, got {threshold}")
        self.threshold = threshold
        self.add_state("within", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, distances: Tensor) -> None:
        """Add distances (B,)."""
        self.within = self.within + (distances <= self.threshold).sum()
        self.count = self.count + len(distances)

    def compute(self) -> Tensor:
        """Return the share, a float64 scalar in [0, 1]."""
        if int(self.count) == 0:
            raise ValueError("a share needs at least 1 distance, got 0")
        return self.within.double() / self.count
