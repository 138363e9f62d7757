"""Classes that samples reach, through a classifier."""

import torch
from torch import Tensor

from benchmarks.evaluation.features.base import Features
from benchmarks.evaluation.metrics.base import SampleMetric, logits_of

__all__ = ["ClassCoverage"]


class ClassCoverage(SampleMetric):
    r"""Histogram of the classes of samples: how many occur, and its KL to a reference.

    Metz et al., 2017, https://arxiv.org/abs/1611.02163, Sec. 3.3, for stacked MNIST: with shares p
    of samples (by the classifier's likeliest class) and q of the reference,
    :math:`KL(p \| q) = \sum_c p_c \log (p_c / q_c)`. Even perfect samples score about
    (classes - 1) / (2 samples) plus what the classifier's errors add; score real images to see it.

    Args:
        num_classes: Number of classes.
        uniform: Whether q is uniform (stacked MNIST); otherwise the real images' histogram through
            the same classifier.

    Raises:
        ValueError: from update, if logits are missing or of another number of classes; from
            compute, without samples.
    """

    higher_is_better = True
    needs_logits = True
    value_names = ("classes", "missing_classes", "class_kl")

    def __init__(self, num_classes: int, uniform: bool) -> None:
        super().__init__()
        self.num_classes, self.uniform = num_classes, uniform
        for side in ("real", "fake"):
            self.add_state(side, torch.zeros(num_classes, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, features: Features, index: Tensor, side: str = "fake") -> None:
        """Count the likeliest classes of logits (B, K); other sides than these are ignored."""
        if side not in ("real", "fake"):
            return
        logits = logits_of(features, self.num_classes, "class coverage")
        counts = logits.argmax(1).bincount(minlength=self.num_classes)
        setattr(self, side, getattr(self, side) + counts)

    def compute(self) -> dict[str, Tensor]:
        """Return float64 scalars: classes that occur, those missing, and class_kl in nats.

        The KL is infinite if samples have a class that no real image has.
        """
        reference = torch.ones_like(self.real) if self.uniform else self.real
        if int(self.fake.sum()) == 0 or int(reference.sum()) == 0:
            raise ValueError("class coverage needs at least 1 sample and 1 real image, got none")
        p = self.fake.double() / self.fake.sum()
        q = reference.double() / reference.sum()
        log_ratio = torch.where(self.fake > 0, p / q, 1.0).log()
        return {
            "classes": (self.fake > 0).sum().double(),
            "missing_classes": ((reference > 0) & (self.fake == 0)).sum().double(),
            "class_kl": (p * log_ratio).sum().clamp(min=0),  # rounding may take it below zero
        }
