"""Learning-rate schedules: a factor on the configured rate, as a function of images_seen.

A constant rate is no schedule (null in a config).
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

__all__ = ["ExponentialSchedule", "LinearSchedule", "PiecewiseSchedule", "Schedule"]


class Schedule(Protocol):
    """What a model asks of a schedule."""

    def __call__(self, images_seen: int) -> float:
        """Return the factor on the learning rate after `images_seen` images."""


@dataclass(frozen=True)
class LinearSchedule:
    """Factor 1 until `begin_images`, then linear to `final_factor` at `end_images`, then constant.

    Attributes:
        begin_images: Where the decay begins.
        end_images: Where it ends.
        final_factor: The factor from there on.

    Raises:
        ValueError: if end_images <= begin_images or begin_images < 0.
    """

    begin_images: int
    end_images: int
    final_factor: float

    def __post_init__(self) -> None:
        if not 0 <= self.begin_images < self.end_images:
            raise ValueError(
                "begin_images must be >= 0 and below end_images, "
                f"got {self.begin_images} and {self.end_images}"
            )

    def __call__(self, images_seen: int) -> float:
        span = self.end_images - self.begin_images
        done = min(max((images_seen - self.begin_images) / span, 0.0), 1.0)
        return 1.0 + done * (self.final_factor - 1.0)


@dataclass(frozen=True)
class ExponentialSchedule:
    """A constant factor per update.

    Attributes:
        factor_per_update: In (0, 1].
        images_per_update: Images of an update.

    Raises:
        ValueError: if one is out of range.
    """

    factor_per_update: float
    images_per_update: int

    def __post_init__(self) -> None:
        if not (0 < self.factor_per_update <= 1 and self.images_per_update >= 1):
            raise ValueError(
                "factor_per_update must be in (0, 1] and images_per_update >= 1, got "
                f"{self.factor_per_update} and {self.images_per_update}"
            )

    def __call__(self, images_seen: int) -> float:
        factor: float = self.factor_per_update ** (images_seen / self.images_per_update)
        return factor


@dataclass(frozen=True)
class PiecewiseSchedule:
    """Factor 1, then a constant factor from each beginning on.

    Attributes:
        begin_images: Where each factor begins, increasing.
        factors: As many.

    Raises:
        ValueError: if they do not match or do not increase.
    """

    begin_images: Sequence[int]
    factors: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.begin_images) != len(self.factors):
            raise ValueError(
                f"factors must be as many as begin_images, got {len(self.factors)} and "
                f"{len(self.begin_images)}"
            )
        if any(a >= b for a, b in pairwise(self.begin_images)):
            raise ValueError(f"begin_images must increase, got {list(self.begin_images)}")

    def __call__(self, images_seen: int) -> float:
        stage = bisect_right(self.begin_images, images_seen)
        return self.factors[stage - 1] if stage else 1.0
