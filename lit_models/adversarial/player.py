"""A player of a game: a network, and how it is trained."""

from dataclasses import dataclass

from torch import nn

from lit_models.base import OptimizerFactory

__all__ = ["Player"]


@dataclass(frozen=True)
class Player:
    """The network that one optimizer owns.

    Attributes:
        network: Every parameter in it belongs to this player.
        optimizer: Builds the optimizer from the parameters.
        ema_decay: The decay of the averaged weights (Polyak and Juditsky, 1992), which follow
            each of the player's updates; None for no average.
        weight_clip: After each of the player's updates every parameter is clamped to
            [-weight_clip, weight_clip] (Arjovsky et al., 2017, Algorithm 1); None for no clamp.

    Raises:
        ValueError: if weight_clip is not positive, or ema_decay is not between 0 and 1.
    """

    network: nn.Module
    optimizer: OptimizerFactory
    ema_decay: float | None = None
    weight_clip: float | None = None

    def __post_init__(self) -> None:
        for name in ("weight_clip", "ema_decay"):
            value = getattr(self, name)
            if not isinstance(value, int | float | None):
                raise ValueError(f"{name} must be a number or null, got {value!r}")
        if self.weight_clip is not None and self.weight_clip <= 0:
            raise ValueError(f"weight_clip must be > 0 or null, got {self.weight_clip}")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(f"ema_decay must be between 0 and 1 or null, got {self.ema_decay}")
