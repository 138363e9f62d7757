"""What a score means. A protocol is a config file; its fingerprint hashes the measurement."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from benchmarks.evaluation.features.base import Extractor, Features
from benchmarks.evaluation.features.cache import FeatureCache
from benchmarks.evaluation.metrics.base import SampleMetric
from benchmarks.evaluation.metrics.stored import gather_rows
from benchmarks.evaluation.sources import (
    ImageSource,
    ModelSource,
    TensorSource,
    check_protocol_counts,
    draw_seed,
    finite_samples,
    own_chunks,
    real_source,
    trial,
)
from datamodules.base import DataModule
from lit_models.base import LitGenerativeModel
from lit_models.callbacks.sample_grids import sampling
from lit_models.images import round_to_uint8
from lit_models.training.collectives import any_process, world

__all__ = ["LikelihoodProtocol", "SampleProtocol", "in_order", "split_features", "values"]


@dataclass(frozen=True)
class SampleProtocol:
    """Samples against real images, through an extractor: one pass, all metrics.

    Sampling is in chunks: chunk i has a generator seeded by (seed, i), and processes take chunks
    in turn, so that a score depends neither on the batch size nor on the number of processes.

    Attributes:
        extractor: Maps floats in [0, 255] to features.
        metrics: By the name of their value; a metric of several values names them itself.
        real_split: Split of the real images.
        num_real: Their number, the first ones in an order drawn by the seed.
        num_samples: Number of samples.
        round_to_uint8: Whether samples are rounded to levels first.
        seed: Of the samples.
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
    taken_in: list[str] = field(default_factory=list)  # sides that the metrics hold
    repeatable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_protocol_counts(self, "num_samples", "chunk_size")
        if self.num_real != 0:  # a score of samples alone
            check_protocol_counts(self, "num_real")
        if not isinstance(self.round_to_uint8, bool):
            raise ValueError(f"round_to_uint8 must be true or false, got {self.round_to_uint8}")

    @property
    def value_names(self) -> list[str]:
        """The names of all values."""
        return [n for name, m in self.metrics.items() for n in m.value_names or (name,)]

    def num_scored(self, datamodule: DataModule) -> int:
        """Return the number of samples."""
        return self.num_samples

    @property
    def main_value(self) -> tuple[str, bool] | None:
        """The first value, and whether higher is better; None where neither is."""
        return first_value(self.metrics)

    def check(self, source: ImageSource, datamodule: DataModule) -> None:
        """Refuse, before anything long, data or samples that this protocol cannot score.

        Raises:
            ValueError: if images do not fit the extractor, there are too few, or a metric needs a
                classifier that the extractor has not.
        """
        real_source(datamodule, self.real_split, self.seed).require(self.num_real)
        features = self.extractor(trial(source, self.num_samples))
        counts = {side: count for side, (_, count) in self._real_sides(datamodule).items()}
        for name, metric in self.metrics.items():
            metric.check_counts({**counts, "fake": self.num_samples})
            if features.logits is None and metric.needs_logits:
                raise ValueError(
                    f"{name} is not available: the extractor's weights have no classifier head "
                    "(for Inception: remove the file, then `dgmbench prefetch inception_2015`)"
                )

    def try_out(self, source: ImageSource, datamodule: DataModule) -> None:
        """Let every metric take in two samples, as real and as generated ones.

        Raises:
            ValueError: if a metric is not for such features.
        """
        features = self.extractor(trial(source, 2))
        for metric in self.metrics.values():
            tried = copy.deepcopy(metric).to(source.device)
            for side in (*self._real_sides(datamodule), "fake"):
                tried.update(features, torch.arange(2, device=source.device), side)

    def run(
        self,
        source: ImageSource,
        datamodule: DataModule,
        cache: FeatureCache | None,
        label: str,
        draw: int = 0,
    ) -> dict[str, float]:
        """Score the source against the data, which are taken in the first time only.

        Raises:
            ValueError: with too few images.
            DivergedError: if samples are not finite.
        """
        for metric in self.metrics.values():
            metric.to(source.device)
            metric.forget_samples()
        for side, (split, count) in self._real_sides(datamodule).items():
            if side not in self.taken_in:
                parts = split_features(
                    self.extractor,
                    real_source(datamodule, split, self.seed),
                    split,
                    count,
                    self.seed,
                    self.chunk_size,
                    cache,
                    source.device,
                    f"{label}: {side} images",
                )
                for index, features in parts:
                    self._update(features, index, side)
                self.taken_in.append(side)
        seed = draw_seed(self.seed, draw)
        for index, images in finite_samples(
            source, self.num_samples, self.chunk_size, seed, label
        ):
            if self.round_to_uint8:
                images = round_to_uint8(images).float()
            self._update(self.extractor(images), index, "fake")
        return values(self.metrics)

    def attributes(self, source: ImageSource) -> dict[str, Any]:
        """Return the extractor and its version."""
        extractor: Any = self.extractor
        extractor = getattr(extractor, "extractor", extractor)  # below what remembers
        return {"extractor": f"{type(extractor).__name__} {getattr(extractor, 'version', '?')}"}

    def _real_sides(self, datamodule: DataModule) -> dict[str, tuple[str, int]]:
        """Return the split and count of each side that is not generated."""
        sides = {"real": (self.real_split, self.num_real)} if self.num_real else {}
        if self.with_train:
            sides["train"] = ("train", len(datamodule.split("train")[0]))
        return sides

    def _update(self, features: Features, index: range, side: str) -> None:
        positions = torch.arange(index.start, index.stop)
        for metric in self.metrics.values():
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


def first_value(metrics: Mapping[str, Metric]) -> tuple[str, bool] | None:
    """Return the name of the first metric's first value, and whether higher is better."""
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


@dataclass(frozen=True)
class LikelihoodProtocol:
    """Log-likelihood of a split.

    Where `nll_nats` is among the metrics, a bound also has its own name and sign: `elbo_nats`, or
    `iwae_bound_k<K>_nats`.

    Attributes:
        metrics: By the name of their value; each takes (log-likelihoods in nats, dimensions).
        split: Split of the images.
        num_importance_samples: K of the bound; without effect on exact likelihoods.
        seed: Of a bound's noise, and of the choice of the images.
        chunk_size: Images per chunk.
        num_images: Their number, the first ones in an order drawn by the seed; None for all.

    Raises:
        ValueError: if num_importance_samples or num_images is below 1.
    """

    metrics: Mapping[str, Metric]
    split: str
    num_importance_samples: int
    seed: int
    chunk_size: int
    num_images: int | None = None
    repeatable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_protocol_counts(self, "num_importance_samples", "chunk_size")
        if self.num_images is not None and self.num_images < 1:
            raise ValueError(f"num_images must be >= 1 or null, got {self.num_images}")

    @property
    def value_names(self) -> list[str]:
        """The names of all values; those of bounds are given for bounds only."""
        k = self.num_importance_samples
        bounds = [f"iwae_bound_k{k}_nats"] if k > 1 else ["elbo_nats"]
        return [*self.metrics, *(bounds if "nll_nats" in self.metrics else [])]

    def num_scored(self, datamodule: DataModule) -> int:
        """Return the number of images, times the samples that a bound takes of each."""
        return len(self._images(datamodule)[0]) * self.num_importance_samples

    @property
    def main_value(self) -> tuple[str, bool] | None:
        """The first value, and whether higher is better."""
        return first_value(self.metrics)

    def check(self, source: ImageSource, datamodule: DataModule) -> None:
        """Refuse, before anything long, a source without likelihood for such data.

        Raises:
            ValueError: if the source is no model with a likelihood, or the data do not fit it.
        """
        if not isinstance(source, ModelSource):
            raise ValueError("this protocol needs a model with a likelihood, got images")
        if source.model.likelihood_kind is None:
            raise ValueError(
                f"this protocol needs a model with a likelihood; {type(source.model).__name__} "
                f"has none (it has {source.model.scores})"
            )
        x, labels = self._images(datamodule)
        # a few samples only: whether it can be done at all
        generator = torch.Generator().manual_seed(0)
        self._nats(source.model, x[:2], labels[:2], generator, min(2, self.num_importance_samples))

    def try_out(self, source: ImageSource, datamodule: DataModule) -> None:
        """Score an image, and let every metric take that in."""
        assert isinstance(source, ModelSource)
        x, labels = datamodule.split(self.split)
        generator = torch.Generator().manual_seed(self.seed)
        nats = self._nats(source.model, x[:1], labels[:1], generator, 1)
        for metric in self.metrics.values():
            copy.deepcopy(metric).to(source.device).update(nats, datamodule.num_dims)

    def run(
        self,
        source: ImageSource,
        datamodule: DataModule,
        cache: FeatureCache | None,
        label: str,
        draw: int = 0,
    ) -> dict[str, float]:
        """Score a model that `check` accepts."""
        assert isinstance(source, ModelSource)
        for metric in self.metrics.values():
            metric.to(source.device)
            metric.reset()
        x, labels = self._images(datamodule)
        for index, generator in own_chunks(len(x), self.chunk_size, self.seed, label):
            part = slice(index.start, index.stop)
            nats = self._nats(
                source.model, x[part], labels[part], generator, self.num_importance_samples
            )
            for metric in self.metrics.values():
                metric.update(nats, datamodule.num_dims)
        return self._with_bound(values(self.metrics), source.model)

    def _images(self, datamodule: DataModule) -> tuple[Tensor, Tensor]:
        x, labels = datamodule.split(self.split)
        if self.num_images is None:
            return x, labels
        if self.num_images > len(x):
            raise ValueError(
                f"num_images must be <= {len(x)}, the images of split {self.split}, got "
                f"{self.num_images}"
            )
        order = torch.from_numpy(np.random.default_rng(self.seed).permutation(len(x)))
        return x[order[: self.num_images]], labels[order[: self.num_images]]

    def _nats(
        self,
        model: LitGenerativeModel,
        x: Tensor,
        labels: Tensor,
        generator: torch.Generator,
        num_samples: int,
    ) -> Tensor:
        with sampling(model):
            given = labels.to(model.device) if model.conditional else None
            return model.log_likelihood(model.encode(x), generator, num_samples, given)

    def _with_bound(self, found: dict[str, float], model: LitGenerativeModel) -> dict[str, float]:
        """Add the bound under its own name."""
        kind = self._kind(model)
        if kind == "exact" or "nll_nats" not in found:
            return found
        name = f"iwae_bound_k{self.num_importance_samples}" if kind == "iwae" else kind
        return {**found, f"{name}_nats": -found["nll_nats"]}

    def _kind(self, model: LitGenerativeModel) -> str:
        kind = model.likelihood_kind
        assert kind is not None
        return "iwae" if kind != "exact" and self.num_importance_samples > 1 else kind

    def attributes(self, source: ImageSource) -> dict[str, Any]:
        """Return what the row prints: the kind of likelihood and its samples."""
        assert isinstance(source, ModelSource)
        found: dict[str, Any] = {"likelihood": self._kind(source.model)}
        if found["likelihood"] != "exact":
            found["importance_samples"] = self.num_importance_samples
        if source.model.dequantised:
            found["of"] = "density of dequantised data"
        if source.model.conditional:
            found["given"] = "label"
        if source.model.trained_by is not None:
            found["trained_by"] = source.model.trained_by
        return found
