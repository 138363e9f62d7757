"""Modes that samples reach, on data whose modes are known."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from benchmarks.evaluation.features.cache import FeatureCache
from benchmarks.evaluation.metrics.mode_coverage import ModeCoverage
from benchmarks.evaluation.protocols.samples import values
from benchmarks.evaluation.sources import (
    ImageSource,
    check_protocol_counts,
    check_shape,
    draw_seed,
    finite_samples,
)
from datamodules.base import DataModule

__all__ = ["CoverageProtocol", "KnownModes"]


@runtime_checkable
class KnownModes(Protocol):
    """A data set of equally likely isotropic Gaussians."""

    modes: np.ndarray  # (K, D)
    std: float


@dataclass(frozen=True)
class CoverageProtocol:
    """Modes, high-quality share and reverse KL of samples; see `ModeCoverage`.

    Attributes:
        num_samples: Number of samples.
        num_std: Radius of high quality, in standard deviations.
        kl_of_high_quality: Whether the reverse KL is over high-quality samples only.
        seed: Of the samples.
        chunk_size: Samples per chunk.
    """

    num_samples: int
    num_std: float
    kl_of_high_quality: bool
    seed: int
    chunk_size: int
    repeatable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_protocol_counts(self, "num_samples", "chunk_size")

    @property
    def value_names(self) -> list[str]:
        """The names of all values."""
        return list(ModeCoverage.value_names)

    def num_scored(self, datamodule: DataModule) -> int:
        """Return the number of samples."""
        return self.num_samples

    @property
    def main_value(self) -> tuple[str, bool] | None:
        """Modes: more are better."""
        return "modes", True

    def check(self, source: ImageSource, datamodule: DataModule) -> None:
        """Refuse, before anything long, data or samples that this protocol cannot score.

        Raises:
            ValueError: if the data's modes are not known, or samples are of another shape.
        """
        if not isinstance(datamodule, KnownModes):
            raise ValueError(
                "this protocol needs data of known modes (gaussian_ring, gaussian_grid), got "
                f"{datamodule.name}"
            )
        check_shape(source, self.num_samples, datamodule)

    def try_out(self, source: ImageSource, datamodule: DataModule) -> None:
        """Score two samples."""
        replace(self, num_samples=2).run(source, datamodule, None, "trial")

    def run(
        self,
        source: ImageSource,
        datamodule: DataModule,
        cache: FeatureCache | None,
        label: str,
        draw: int = 0,
    ) -> dict[str, float]:
        """Score a source that `check` accepts.

        Raises:
            DivergedError: if samples are not finite.
        """
        assert isinstance(datamodule, KnownModes)
        metric = ModeCoverage(
            datamodule.modes, datamodule.std, self.num_std, self.kl_of_high_quality
        ).to(source.device)
        seed = draw_seed(self.seed, draw)
        for _, x in finite_samples(source, self.num_samples, self.chunk_size, seed, label):
            metric.update(x)
        return values({"coverage": metric})

    def attributes(self, source: ImageSource) -> dict[str, Any]:
        """Return what the row prints beside the score: nothing."""
        return {}
