"""What a metric of samples is."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from benchmarks.evaluation.features.base import Features

__all__ = ["SampleMetric", "logits_of"]


class SampleMetric(Metric):
    """A metric over features of real and generated images.

    States of generated images begin with `fake`. What is real is taken in once and may serve many
    samples.

    Attributes:
        value_names: Names of its values, where `compute` returns several; otherwise its value is
            called what the protocol calls the metric.
        needs_logits: Whether it needs a classifier.
    """

    full_state_update = False
    value_names: ClassVar[tuple[str, ...]] = ()
    needs_logits: ClassVar[bool] = False

    def __init__(self, dist_sync_fn: Callable[..., Any] | None = None) -> None:
        # no value is kept, since the samples may be others the next time
        super().__init__(dist_sync_fn=dist_sync_fn, compute_with_cache=False)

    @abstractmethod
    def update(self, features: Features, index: Tensor, side: str = "fake") -> None:
        """Take in features (B, D) with global indices (B,), of side real, fake or train."""

    def check_counts(self, counts: Mapping[str, int]) -> None:
        """Refuse, before any sample is drawn, numbers of features that `compute` would refuse.

        Args:
            counts: Number of features by side.

        Raises:
            ValueError: naming the side.
        """

    def forget_samples(self) -> None:
        """Forget what was generated, and keep what is real."""
        for name, state in self.metric_state.items():
            if name.startswith("fake"):
                setattr(self, name, [] if isinstance(state, list) else torch.zeros_like(state))


def logits_of(features: Features, num_classes: int, what: str) -> Tensor:
    """Return logits (B, num_classes).

    Raises:
        ValueError: naming what needs them, if there are none, or of another number of classes.
    """
    if features.logits is None:
        raise ValueError(f"{what} needs logits; this extractor gives none")
    found = features.logits.shape[1]
    if found != num_classes:
        raise ValueError(f"num_classes must be that of the logits, {found}, got {num_classes}")
    return features.logits
