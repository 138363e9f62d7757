"""Negative log-likelihood per image."""

from torch import Tensor

from benchmarks.evaluation.metrics.mean_nats import MeanNats

__all__ = ["NllNats"]


class NllNats(MeanNats):
    """-log p(x) in nats, a mean over images; of a bound, at most this.

    Raises:
        ValueError: from compute, without any image.
    """

    def update(self, log_likelihood: Tensor, num_dims: int) -> None:
        """Add log-likelihoods (B,), in nats."""
        self.add(log_likelihood, 1)

    def compute(self) -> Tensor:
        """Return nats per image, a float64 scalar."""
        return self.mean("nats per image need")
