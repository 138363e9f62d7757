"""Randomness of training as a pure function of (seed, images_seen, global sample index)."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lit_models.training.seeds import step_seed

__all__ = ["DRAWS", "Noise", "StepNoise"]

DRAWS: dict[str, Callable[..., Tensor]] = {"normal": torch.randn, "uniform": torch.rand}


class Noise:
    """Draws from one generator, of which every process keeps its own slice.

    All processes draw the same global tensor; process `rank` returns its rows. A run therefore
    sees the same noise on any number of processes.

    Args:
        generator: Source of all draws; it stays on its own device. None is torch's global one,
            by which nothing that is recorded is drawn.
        device: Where the draws are returned.
        dtype: Floating-point type of the draws.
        rank: Index of this process.
        world_size: Number of processes.
    """

    def __init__(
        self,
        generator: torch.Generator | None,
        device: torch.device | str = "cpu",
        dtype: Any = torch.float32,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.generator = torch.default_generator if generator is None else generator
        self.device, self.dtype = torch.device(device), dtype
        self.rank, self.world_size = rank, world_size

    def __call__(self, shape: Sequence[int], kind: str = "normal") -> Tensor:
        """Return this process's rows of one global draw.

        Args:
            shape: Shape on this process, (B, ...).
            kind: "normal" for N(0, 1), "uniform" for U[0, 1).
        """
        rows = shape[0]
        draw = DRAWS[kind](
            (rows * self.world_size, *shape[1:]),
            generator=self.generator,
            device=self.generator.device,
            dtype=self.dtype,
        )
        return draw[self.rank * rows : (self.rank + 1) * rows].to(self.device)


class StepNoise(Noise):
    """The noise of training: `start(images_seen)` makes the draws that follow a function of it."""

    def __init__(
        self,
        seed: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(torch.Generator(device), device, dtype, rank, world_size)
        self.seed = seed

    def start(self, images_seen: int) -> None:
        """Reseed for the training step that begins after `images_seen` images."""
        self.generator.manual_seed(step_seed(self.seed, images_seen))
