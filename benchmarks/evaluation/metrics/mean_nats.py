"""Negative log-likelihood per image or dimension."""

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["MeanNats"]


class MeanNats(Metric):
    """-log p(x) in nats over what is counted: a sum divided by a count, not a mean of batches."""

    full_state_update = False
    higher_is_better = False

    def __init__(self) -> None:
        super().__init__()
        self.add_state("nats", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def add(self, log_likelihood: Tensor, each: int) -> None:
        """Add log-likelihoods (B,), in nats, of images that count so much each."""
        self.nats = self.nats - log_likelihood.double().sum()
        self.count = self.count + len(log_likelihood) * each

    def mean(self, what: str) -> Tensor:
        """Return the mean, a float64 scalar.

        Raises:
            ValueError: without any image.
        """
        if int(self.count) == 0:
            raise ValueError(f"{what} at least 1 image, got 0")
        return self.nats / self.count
