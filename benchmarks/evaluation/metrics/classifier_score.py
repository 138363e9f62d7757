"""Inception-type score from any classifier."""

from collections.abc import Mapping

import torch
from torch import Tensor

from benchmarks.evaluation.features.base import Features
from benchmarks.evaluation.metrics.base import SampleMetric, logits_of

__all__ = ["ClassifierScore"]


class ClassifierScore(SampleMetric):
    r"""exp of the mean KL of p(y|x) to the marginal p(y), averaged over consecutive splits.

    Salimans et al., 2016, https://arxiv.org/abs/1606.03498, Sec. 4. Between 1 and the number of
    classes. Splits go by the samples' global index, so the score does not depend on the number of
    processes; where they do not divide, split i begins at floor(i N / splits), as in the authors'
    code.

    Args:
        num_classes: Number of classes.
        num_samples: Number of samples in all.
        num_splits: Number of splits.

    Raises:
        ValueError: if there are fewer samples than splits; from compute, if samples are missing.
    """

    higher_is_better = True
    needs_logits = True

    def __init__(self, num_classes: int, num_samples: int, num_splits: int) -> None:
        super().__init__()
        if not 1 <= num_splits <= num_samples:
            raise ValueError(f"num_splits must be in 1 .. {num_samples}, got {num_splits}")
        self.num_samples, self.num_splits = num_samples, num_splits
        marginal = torch.zeros(num_splits, num_classes, dtype=torch.float64)
        entropy = torch.zeros(num_splits, dtype=torch.float64)
        count = torch.zeros(num_splits, dtype=torch.float64)
        self.add_state("fake_marginal", marginal, dist_reduce_fx="sum")
        self.add_state("fake_negative_entropy", entropy, dist_reduce_fx="sum")
        self.add_state("fake_count", count, dist_reduce_fx="sum")

    def update(self, features: Features, index: Tensor, side: str = "fake") -> None:
        """Add logits (B, K) of samples with global indices (B,); other sides are ignored."""
        if side != "fake":
            return
        logits = logits_of(features, self.fake_marginal.shape[1], "a classifier score")
        log_p = logits.double().log_softmax(1)
        p = log_p.exp()
        split = ((index.to(p.device) + 1) * self.num_splits - 1) // self.num_samples
        self.fake_marginal.index_add_(0, split, p)
        self.fake_negative_entropy.index_add_(0, split, (p * log_p).sum(1))
        self.fake_count.index_add_(0, split, torch.ones_like(p[:, 0]))

    def check_counts(self, counts: Mapping[str, int]) -> None:
        found = counts.get("fake", 0)
        if found != self.num_samples:
            raise ValueError(f"classifier score needs {self.num_samples} samples, got {found}")

    def compute(self) -> Tensor:
        """Return the score, a float64 scalar."""
        self.check_counts({"fake": int(self.fake_count.sum())})
        marginal = self.fake_marginal / self.fake_count[:, None]
        marginal_entropy = -torch.special.xlogy(marginal, marginal).sum(1)
        divergence = self.fake_negative_entropy / self.fake_count + marginal_entropy
        return divergence.clamp(min=0).exp().mean()  # rounding may take it below zero
