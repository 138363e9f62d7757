"""Learning-rate schedules: a factor on the configured rate, as a function of images_seen.

A constant rate is no schedule (null in a config).
"""

from dataclasses import dataclass
from typing import Protocol

__all__ = ["LinearSchedule", "Schedule"]


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
