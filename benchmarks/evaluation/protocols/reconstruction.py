"""How well an encoder's reconstructions match the data."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from benchmarks.evaluation.protocols.base import Protocol, check_counts
from benchmarks.evaluation.sources import ImageSource, model_of, own_chunks
from datamodules.base import DataModule
from lit_models.callbacks.sample_grids import sampling
from lit_models.capabilities import HasEncoder
from lit_models.training.collectives import mean_over_processes, world

__all__ = ["ReconstructionProtocol"]


@dataclass(frozen=True)
class ReconstructionProtocol(Protocol):
    """Mean squared error of reconstructions, in units of the range [0, 1], per dimension.

    Attributes:
        split: The split of the images.
        chunk_size: The number of images per chunk.
    """

    split: str
    chunk_size: int
    needs: ClassVar[tuple[type, ...]] = (HasEncoder,)

    def __post_init__(self) -> None:
        check_counts(self, "chunk_size")

    @property
    def value_names(self) -> list[str]:
        return ["reconstruction_mse"]

    @property
    def main_value(self) -> tuple[str, bool] | None:
        """The error: less is better."""
        return "reconstruction_mse", False

    def num_scored(self, data: DataModule) -> int:
        return len(data.split(self.split)[0])

    def check_fit(self, source: ImageSource, data: DataModule) -> None:
        data.split(self.split)

    def try_out(self, source: ImageSource, data: DataModule) -> None:
        """Reconstruct the images that a trial sees."""
        self.rehearse(source, data)

    def measure(
        self, source: ImageSource, data: DataModule, prepared: Any, label: str, draw: int = 0
    ) -> dict[str, float]:
        """Return the error over all processes."""
        model = model_of(source)
        x, labels = data.split(self.split)
        total = torch.zeros((), dtype=torch.float64, device=model.device)
        with sampling(model):
            for index, _ in own_chunks(len(x), self.chunk_size, 0, label):
                part = slice(index.start, index.stop)
                own = model.encode(x[part])
                given = labels[part].to(model.device) if model.conditional else None
                difference = model.to_images(model.reconstruct(own, given)) - model.to_images(own)
                total += (difference.double() / 255).square().sum()
        total = mean_over_processes(total) * world()[1]
        return {"reconstruction_mse": float(total) / (len(x) * data.num_dims)}
