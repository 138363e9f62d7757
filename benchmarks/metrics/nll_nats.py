"""Negative log-likelihood per image."""

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["NllNats"]


class NllNats(Metric):
    """-log p(x) in nats, a mean over images; of a bound, at most this.

    Raises:
        ValueError: from compute, without any image.
    """

    full_state_update = False
    higher_is_better = False

    def __init__(self) -> None:
        super().__init__()
        self.add_state("nats", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, log_likelihood: Tensor, num_dims: int) -> None:
        """Add log-likelihoods (B,), in nats."""
        self.nats = self.nats - log_likelihood.double().sum()
        self.count = self.count + len(log_likelihood)

    def compute(self) -> Tensor:
        """Return nats per image, a float64 scalar."""
        if int(self.count) == 0:
            raise ValueError("nats per image need at least 1 image, got 0")
        return self.nats / self.count
