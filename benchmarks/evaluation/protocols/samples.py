"""Samples against real images, through an extractor."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from benchmarks.core.seeds import draw_seed
from benchmarks.evaluation.features.base import Extractor, Features, name_of
from benchmarks.evaluation.features.cache import FeatureCache
from benchmarks.evaluation.metrics.base import SampleMetric
from benchmarks.evaluation.metrics.stored import gather_rows
from benchmarks.evaluation.protocols.base import Protocol, check_counts, first_value, values
from benchmarks.evaluation.sources import (
    ImageSource,
    TensorSource,
    finite_samples,
    own_chunks,
    real_source,
    trial,
)
from datamodules.base import DataModule
from lit_models.images import round_to_uint8
from lit_models.training.collectives import any_process, world

__all__ = ["SampleProtocol", "in_order", "split_features"]


@dataclass(frozen=True)
class SampleProtocol(Protocol):
    """Samples against real images, through an extractor: one pass, all metrics.

    Sampling is in chunks: chunk i has a generator seeded by (seed, i), and processes take chunks
    in turn, so that a score depends neither on the batch size nor on the number of processes.

    Attributes:
        extractor: Maps floats in [0, 255] to features.
        metrics: By the name of their value; a metric of several values names them itself.
        real_split: Split of the real images.
        num_real: The number of real images, the first ones in an order drawn by the seed.
        num_samples: Number of samples.
        round_to_uint8: Whether samples are rounded to levels first.
        seed: The seed of the samples.
        chunk_size: Samples per chunk.
        with_train: Whether metrics of memorisation see the training split, all of it.
        revision: Raised when a fix changes the numbers, so that earlier scores are others.

    Raises:
        ValueError: if a count is too small, or round_to_uint8 is neither true nor false.
    """

    extractor: Extractor
    metrics: Mapping[str, SampleMetric]
    real_split: str
    num_real: int
    num_samples: int
    round_to_uint8: bool
    seed: int
    chunk_size: int
    with_train: bool = False
    revision: int = 1
    needs: ClassVar[tuple[type, ...]] = ()
    repeatable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_counts(self, "num_samples", "chunk_size")
        if self.num_real != 0:  # a score of samples alone
            check_counts(self, "num_real")
        if not isinstance(self.round_to_uint8, bool):
            raise ValueError(f"round_to_uint8 must be true or false, got {self.round_to_uint8}")

    @property
    def value_names(self) -> list[str]:
        return [n for name, m in self.metrics.items() for n in m.value_names or (name,)]

    @property
    def main_value(self) -> tuple[str, bool] | None:
        return first_value(self.metrics)

    def num_scored(self, data: DataModule) -> int:
        return self.num_samples

    def check_fit(self, source: ImageSource, data: DataModule) -> None:
        """Refuse images that do not fit the extractor, too few of them, or a missing classifier.

        Raises:
            ValueError: naming what does not fit.
        """
        if (data.num_levels is None) != self.extractor.of_vectors:
            kinds = ("images", "vectors")
            needed, held = kinds[::-1] if self.extractor.of_vectors else kinds
            raise ValueError(f"this protocol needs {needed}, and {data.name} holds {held}")
        real_source(data, self.real_split, self.seed).require(self.num_real)
        features = self.extractor(trial(source, self.num_samples))
        counts = {side: count for side, (_, count) in self._real_sides(data).items()}
        for name, metric in self.metrics.items():
            metric.check_counts({**counts, "fake": self.num_samples})
            if features.logits is None and metric.needs_logits:
                raise ValueError(
                    f"{name} is not available: the extractor's weights have no classifier head "
                    "(for Inception: remove the file, then `dgmbench prefetch inception_2015`)"
                )

    def try_out(self, source: ImageSource, data: DataModule) -> None:
        """Let every metric take in two samples, as real and as generated ones.

        Raises:
            ValueError: if a metric is not for such features.
        """
        features = self.extractor(trial(source, 2))
        for metric in self._own_metrics(source.device).values():
            for side in (*self._real_sides(data), "fake"):
                metric.update(features, torch.arange(2, device=source.device), side)

    def prepare(
        self, data: DataModule, device: torch.device, cache: FeatureCache | None, label: str
    ) -> dict[str, SampleMetric]:
        """Return metrics of its own that hold the real images.

        Raises:
            ValueError: with too few images.
        """
        metrics = self._own_metrics(device)
        for side, (split, count) in self._real_sides(data).items():
            parts = split_features(
                self.extractor,
                real_source(data, split, self.seed),
                split,
                count,
                self.seed,
                self.chunk_size,
                cache,
                device,
                f"{label}: {side} images",
            )
            for index, features in parts:
                _update(metrics, features, index, side)
        return metrics

    def measure(
        self,
        source: ImageSource,
        data: DataModule,
        prepared: dict[str, SampleMetric],
        label: str,
        draw: int = 0,
    ) -> dict[str, float]:
        for metric in prepared.values():
            metric.forget_samples()
        seed = draw_seed(self.seed, draw)
        for index, images in finite_samples(
            source, self.num_samples, self.chunk_size, seed, label
        ):
            if self.round_to_uint8:
                images = round_to_uint8(images).float()
            _update(prepared, self.extractor(images), index, "fake")
        return values(prepared)

    def attributes(self, source: ImageSource) -> dict[str, Any]:
        return {"extractor": f"{name_of(self.extractor)} {self.extractor.version}"}

    def _own_metrics(self, device: torch.device) -> dict[str, SampleMetric]:
        return {name: copy.deepcopy(metric).to(device) for name, metric in self.metrics.items()}

    def _real_sides(self, data: DataModule) -> dict[str, tuple[str, int]]:
        """Return the split and count of each side that is not generated."""
        sides = {"real": (self.real_split, self.num_real)} if self.num_real else {}
        if self.with_train:
            sides["train"] = ("train", len(data.split("train")[0]))
        return sides


def _update(
    metrics: Mapping[str, SampleMetric], features: Features, index: range, side: str
) -> None:
    positions = torch.arange(index.start, index.stop)
    for metric in metrics.values():
        metric.update(features, positions, side)


def split_features(
    extractor: Extractor,
    real: TensorSource,
    split: str,
    count: int,
    seed: int,
    chunk_size: int,
    cache: FeatureCache | None,
    device: torch.device,
    label: str,
) -> list[tuple[range, Features]]:
    """Return this process's share of the features of a split's first images, by their index.

    From the disk where all processes see it, and otherwise kept there; every process must call
    this.
    """
    known = cache is not None and cache.path(split, count, seed).exists()
    if cache is not None and not any_process(not known, device):
        kept = cache.load(split, count, seed).to(device)
        chunks = own_chunks(count, chunk_size, seed, label)
        return [(index, kept[index.start : index.stop]) for index, _ in chunks]
    chunks = own_chunks(count, chunk_size, seed, label)
    done = [(index, extractor(real(index, generator).to(device))) for index, generator in chunks]
    if cache is not None:
        gathered = in_order(done, device)
        if world()[0] == 0:
            cache.save(gathered, split, count, seed)
    return done


def in_order(parts: list[tuple[range, Features]], device: torch.device) -> Features:
    """Return the features of all processes by their index; every process must call this."""

    def joined(part: Callable[[Features], Tensor | None]) -> Tensor | None:
        own = [x for _, features in parts if (x := part(features)) is not None]
        x = torch.cat(own) if own else torch.empty(0, device=device)
        x = torch.cat(gather_rows(x)) if world()[1] > 1 else x
        return x[order] if len(x) else None

    positions = [torch.arange(i.start, i.stop, device=device) for i, _ in parts]
    index = torch.cat(positions) if positions else torch.empty(0, dtype=torch.long, device=device)
    order = (torch.cat(gather_rows(index)) if world()[1] > 1 else index).argsort()
    pooled = joined(lambda f: f.pooled)
    assert pooled is not None
    return Features(pooled, joined(lambda f: f.logits))
