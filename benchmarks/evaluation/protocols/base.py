"""What a protocol is: what a score means, and how it is taken."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torchmetrics import Metric

from benchmarks.evaluation.features.cache import FeatureCache
from benchmarks.evaluation.sources import ImageSource, ModelSource
from datamodules.base import DataModule
from lit_models.capabilities import IN_WORDS, Samples, require

__all__ = ["Protocol", "check_counts", "first_value", "values"]


class Protocol(ABC):
    """A measurement: immutable, built once per run, its config hashed into its fingerprint.

    Every kind of protocol says itself what it needs, so that a plan can read it.

    Attributes:
        needs: The capabilities of a model (`lit_models.capabilities`) that it needs; empty if it
            scores samples wherever they come from.
        repeatable: Whether draws of the samples can be repeated.
    """

    needs: ClassVar[tuple[type, ...]]
    repeatable: ClassVar[bool] = False

    @property
    @abstractmethod
    def value_names(self) -> list[str]:
        """The names of all values that it may give."""

    @property
    def main_value(self) -> tuple[str, bool] | None:
        """The first value, and whether higher is better; None where neither is."""
        return None

    @abstractmethod
    def num_scored(self, data: DataModule) -> int:
        """Return the number of samples or images that it takes, by which its cost goes."""

    def check(self, source: ImageSource, data: DataModule) -> None:
        """Refuse, before anything long, data or a source that this protocol cannot score.

        Raises:
            ValueError: naming what is missing.
        """
        if isinstance(source, ModelSource):
            require(source.model, *(self.needs or (Samples,)))
        elif self.needs:
            wanted = " and ".join(IN_WORDS[need] for need in self.needs)
            raise ValueError(f"this protocol needs a model with {wanted}, got images")
        self.check_fit(source, data)

    def check_fit(self, source: ImageSource, data: DataModule) -> None:  # noqa: B027
        """Refuse data, or a source of the right kind, that do not fit.

        Raises:
            ValueError: naming what does not fit.
        """

    def prepare(  # noqa: B027
        self, data: DataModule, device: torch.device, cache: FeatureCache | None, label: str
    ) -> Any:
        """Return what is taken in of the data, once for all sources.

        Args:
            data: The data set.
            device: Where it is scored.
            cache: Where features of the data are kept.
            label: What a progress bar shows.
        """

    @abstractmethod
    def measure(
        self, source: ImageSource, data: DataModule, prepared: Any, label: str, draw: int = 0
    ) -> dict[str, float]:
        """Return the values of a source that `check` accepts, by name.

        Every process of a group must call this.

        Args:
            source: What is scored.
            data: The data set.
            prepared: What `prepare` has returned.
            label: What a progress bar shows.
            draw: The number of a repeated draw.

        Raises:
            DivergedError: if samples are not finite.
        """

    @abstractmethod
    def try_out(self, source: ImageSource, data: DataModule) -> None:
        """Do the same at its smallest, so that what would fail does so now."""

    def attributes(self, source: ImageSource) -> dict[str, Any]:
        """Return what the row prints beside the score."""
        return {}

    def rehearse(self, source: ImageSource, data: DataModule) -> None:
        """Prepare and measure, for a trial."""
        prepared = self.prepare(data, source.device, None, "trial")
        self.measure(source, data, prepared, "trial")


def check_counts(protocol: Protocol, *names: str) -> None:
    """Refuse a protocol whose named fields are not integers of at least 1.

    Raises:
        ValueError: naming the first.
    """
    for name in names:
        value = getattr(protocol, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} must be an integer >= 1, got {value}")


def first_value(metrics: Mapping[str, Metric | type[Metric]]) -> tuple[str, bool] | None:
    """Return the name of the first metric's first value, and whether higher is better.

    None where neither is. Metrics may be given as classes.
    """
    name, metric = next(iter(metrics.items()))
    if metric.higher_is_better is None:
        return None
    return (getattr(metric, "value_names", ()) or (name,))[0], metric.higher_is_better


def values(metrics: Mapping[str, Metric]) -> dict[str, float]:
    """Return the values of all metrics by name; every process must call this."""
    found: dict[str, float] = {}
    for name, metric in metrics.items():
        value = metric.compute()
        found |= {
            n: float(v) for n, v in (value if isinstance(value, dict) else {name: value}).items()
        }
    return found
