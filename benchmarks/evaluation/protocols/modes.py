"""Modes that samples reach, on data whose modes are known."""

import typing
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from benchmarks.core.seeds import draw_seed
from benchmarks.evaluation.metrics.mode_coverage import ModeCoverage
from benchmarks.evaluation.protocols.base import Protocol, check_counts, values
from benchmarks.evaluation.sources import (
    ImageSource,
    check_shape,
    finite_samples,
)
from datamodules.base import DataModule
from lit_models.capabilities import has

__all__ = ["CoverageProtocol", "KnownModes"]


class KnownModes(typing.Protocol):
    """A data set of equally likely isotropic Gaussians."""

    modes: np.ndarray  # (K, D)
    std: float


@dataclass(frozen=True)
class CoverageProtocol(Protocol):
    """Modes, high-quality share and reverse KL of samples; see `ModeCoverage`.

    Attributes:
        num_samples: Number of samples.
        num_std: Radius of high quality, in standard deviations.
        kl_of_high_quality: Whether the reverse KL is over high-quality samples only.
        seed: The seed of the samples.
        chunk_size: Samples per chunk.
    """

    num_samples: int
    num_std: float
    kl_of_high_quality: bool
    seed: int
    chunk_size: int
    needs: ClassVar[tuple[type, ...]] = ()
    repeatable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_counts(self, "num_samples", "chunk_size")

    @property
    def value_names(self) -> list[str]:
        return ModeCoverage.value_names(self.kl_of_high_quality)

    @property
    def main_value(self) -> tuple[str, bool] | None:
        """Modes: more are better."""
        return "modes", True

    def num_scored(self, data: DataModule) -> int:
        return self.num_samples

    def check_fit(self, source: ImageSource, data: DataModule) -> None:
        """Refuse data whose modes are not known, and samples of another shape.

        Raises:
            ValueError: naming what does not fit.
        """
        if not has(data, KnownModes):
            raise ValueError(
                "this protocol needs data of known modes (gaussian_ring, gaussian_grid), got "
                f"{data.name}"
            )
        check_shape(source, self.num_samples, data)

    def try_out(self, source: ImageSource, data: DataModule) -> None:
        """Score two samples."""
        replace(self, num_samples=2).rehearse(source, data)

    def measure(
        self, source: ImageSource, data: DataModule, prepared: Any, label: str, draw: int = 0
    ) -> dict[str, float]:
        assert has(data, KnownModes)
        metric = ModeCoverage(data.modes, data.std, self.num_std, self.kl_of_high_quality)
        metric = metric.to(source.device)
        seed = draw_seed(self.seed, draw)
        for _, x in finite_samples(source, self.num_samples, self.chunk_size, seed, label):
            metric.update(x)
        return values({"coverage": metric})
