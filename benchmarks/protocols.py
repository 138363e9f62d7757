"""What a score means. A protocol is a config file; its fingerprint hashes the measurement."""

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import safetensors.torch
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torchmetrics import Metric
from tqdm import tqdm

from benchmarks.features.base import Extractor
from benchmarks.identity import fingerprint
from datamodules.base import DataModule
from lit_models.base import LitGenerativeModel
from lit_models.callbacks.monitor import DivergedError
from lit_models.callbacks.sample_grids import sampling
from lit_models.collectives import any_process, world
from lit_models.images import round_to_uint8
from lit_models.noise import fold_seed

__all__ = [
    "ImageSource",
    "LikelihoodProtocol",
    "ModelSource",
    "SampleProtocol",
    "TensorSource",
    "check_finite",
    "own_chunks",
    "real_source",
]


class ImageSource(Protocol):
    """Where the images that are scored come from."""

    device: torch.device  # where the images lie, and where metrics are computed

    def __call__(self, index: range, generator: torch.Generator) -> Tensor:
        """Return images `index`, (B, C, H, W), floats in [0, 255]."""


@dataclass(frozen=True)
class ModelSource:
    """Samples of a model."""

    model: LitGenerativeModel

    @property
    def device(self) -> torch.device:
        """The model's."""
        return self.model.device

    def __call__(self, index: range, generator: torch.Generator) -> Tensor:
        with sampling(self.model):
            return self.model.to_images(self.model.sample(len(index), generator))


class TensorSource:
    """Images that exist already (a split, a folder), in an order drawn by a seed.

    Args:
        images: Levels (N, C, H, W).
        num_levels: Number of levels.
        seed: Of the order.
        device: Where they are scored.
    """

    def __init__(
        self, images: Tensor, num_levels: int, seed: int, device: str | torch.device = "cpu"
    ) -> None:
        self.device = torch.device(device)
        self.order = torch.from_numpy(np.random.default_rng(seed).permutation(len(images)))
        self.images, self.scale = images, 255 / (num_levels - 1)

    def __call__(self, index: range, generator: torch.Generator) -> Tensor:
        if index.stop > len(self.images):
            raise ValueError(
                f"the protocol needs at least {index.stop} images, got {len(self.images)}"
            )
        images = self.images[self.order[index.start : index.stop]].to(self.device)
        return images.float() * self.scale


@dataclass(frozen=True)
class SampleProtocol:
    """Samples against real images, through an extractor.

    Sampling is in chunks: chunk i has a generator seeded by (seed, i), and processes take chunks
    in turn, so that a score depends neither on the batch size nor on the number of processes.

    Attributes:
        extractor: Maps floats in [0, 255] to features.
        metrics: By the name of their value.
        real_split: Split of the real images.
        num_real: Their number, the first ones in an order drawn by the seed.
        num_samples: Number of samples.
        round_to_uint8: Whether samples are rounded to levels first.
        seed: Of the samples.
        chunk_size: Samples per chunk.
    """

    extractor: Extractor
    metrics: Mapping[str, Metric]
    real_split: str
    num_real: int
    num_samples: int
    round_to_uint8: bool
    seed: int
    chunk_size: int

    def check(self, source: ImageSource, datamodule: DataModule) -> None:
        """Refuse, before anything long, data or samples that this protocol cannot score.

        Raises:
            ValueError: if images do not fit the extractor, the real ones are too few, or a metric
                needs a classifier that the extractor has not.
        """
        real = real_source(datamodule, self.real_split, self.seed)
        real(range(self.num_real - 1, self.num_real), torch.Generator())
        features = self.extractor(source(range(2), torch.Generator().manual_seed(0)))
        for name, metric in self.metrics.items():
            if features.logits is None and getattr(metric, "needs_logits", False):
                raise ValueError(
                    f"{name} is not available: the extractor's weights have no classifier head "
                    "(for Inception: remove the file, then `dgmbench prefetch inception_2015`)"
                )

    def run(
        self, source: ImageSource, datamodule: DataModule, cache: Path | None, label: str
    ) -> dict[str, float]:
        """Score the source against the data.

        Raises:
            ValueError: with too few images.
            DivergedError: if samples are not finite.
        """
        for metric in self.metrics.values():
            metric.to(source.device)
        self._add_real(datamodule, cache, source.device, label)
        finite = True
        for index, generator in own_chunks(self.num_samples, self.chunk_size, self.seed, label):
            images = source(index, generator)
            finite = bool(images.isfinite().all())
            if not finite:
                break
            if self.round_to_uint8:
                images = round_to_uint8(images).float()
            self._update(images, index, real=False)
        check_finite(finite, source.device)
        return {name: float(metric.compute()) for name, metric in self.metrics.items()}

    def attributes(self, source: ImageSource) -> dict[str, Any]:
        """Return what the row prints beside the score: nothing."""
        return {}

    def real_key(self, cfg: DictConfig, data_fingerprint: str) -> str:
        """Return the key under which the real statistics of this protocol are kept."""
        keys = ("extractor", "metrics", "real_split", "num_real", "seed")
        values = OmegaConf.to_container(cfg, resolve=True)
        assert isinstance(values, dict)
        return fingerprint([{k: values[k] for k in keys}, data_fingerprint])

    def _update(self, images: Tensor, index: range, real: bool) -> None:
        features = self.extractor(images)
        positions = torch.arange(index.start, index.stop)
        for metric in self.metrics.values():
            metric.update(features, positions, real=real)

    def _add_real(
        self, datamodule: DataModule, cache: Path | None, device: torch.device, label: str
    ) -> None:
        """Feed the real images, shared among the processes, or what an earlier run kept."""
        rank = world()[0]
        known = cache is not None and cache.exists()
        if any_process(rank == 0 and known, device):  # the first process decides for all
            if rank == 0:
                assert cache is not None
                self._load_real(cache)
            return
        real = real_source(datamodule, self.real_split, self.seed)
        chunks = own_chunks(self.num_real, self.chunk_size, self.seed, f"{label}: real images")
        for index, generator in chunks:
            self._update(real(index, generator).to(device), index, real=True)
        if cache is not None:
            self._keep_real(cache)

    def _keeping(self) -> dict[str, Any]:
        return {n: m for n, m in self.metrics.items() if hasattr(m, "real_state")}

    def _load_real(self, cache: Path) -> None:
        state = safetensors.torch.load_file(cache)
        for name, metric in self._keeping().items():
            prefix = f"{name}/"
            own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            metric.load_real_state(own)

    def _keep_real(self, cache: Path) -> None:
        """Write the sums over all processes; every process must call this."""
        state = {}
        for name, metric in self._keeping().items():
            with metric.sync_context(should_sync=world()[1] > 1):
                state |= {f"{name}/{k}": v.cpu() for k, v in metric.real_state().items()}
        if world()[0] == 0:
            cache.parent.mkdir(parents=True, exist_ok=True)
            part = cache.with_suffix(f".{os.getpid()}.part")
            safetensors.torch.save_file(state, part)
            part.replace(cache)


@dataclass(frozen=True)
class LikelihoodProtocol:
    """Log-likelihood of a split.

    Attributes:
        metrics: By the name of their value; each takes (log-likelihoods in nats, dimensions).
        split: Split of the images.
        num_importance_samples: K of the bound; without effect on exact likelihoods.
        seed: Of a bound's noise.
        chunk_size: Images per chunk.
    """

    metrics: Mapping[str, Metric]
    split: str
    num_importance_samples: int
    seed: int
    chunk_size: int

    def check(self, source: ImageSource, datamodule: DataModule) -> None:
        """Refuse, before anything long, a source without likelihood for such data.

        Raises:
            ValueError: if the source is no model with a likelihood, or the data do not fit it.
        """
        if not isinstance(source, ModelSource) or source.model.likelihood_kind is None:
            raise ValueError("this protocol needs a model with a likelihood")
        x, _ = datamodule.split(self.split)
        self._nats(source.model, x[:2], torch.Generator().manual_seed(0))

    def run(
        self, source: ImageSource, datamodule: DataModule, cache: Path | None, label: str
    ) -> dict[str, float]:
        """Score a model that `check` accepts."""
        assert isinstance(source, ModelSource)
        for metric in self.metrics.values():
            metric.to(source.device)
        x, _ = datamodule.split(self.split)
        for index, generator in own_chunks(len(x), self.chunk_size, self.seed, label):
            nats = self._nats(source.model, x[index.start : index.stop], generator)
            for metric in self.metrics.values():
                metric.update(nats, datamodule.num_dims)
        return {name: float(metric.compute()) for name, metric in self.metrics.items()}

    def _nats(self, model: LitGenerativeModel, x: Tensor, generator: torch.Generator) -> Tensor:
        with sampling(model):
            encoded = model.data_range.encode(x.to(model.device), model.dtype)
            return model.log_likelihood(encoded, generator, self.num_importance_samples)

    def attributes(self, source: ImageSource) -> dict[str, Any]:
        """Return what the row prints: the kind of likelihood and its samples."""
        assert isinstance(source, ModelSource)
        kind = source.model.likelihood_kind
        if kind == "exact":
            return {"likelihood": kind}
        kind = "iwae" if self.num_importance_samples > 1 else kind
        return {"likelihood": kind, "importance_samples": self.num_importance_samples}


def real_source(datamodule: DataModule, split: str, seed: int) -> TensorSource:
    """Return a split's images, in an order drawn by the seed.

    Raises:
        ValueError: for data that are no images.
    """
    if datamodule.num_levels is None:
        raise ValueError(f"this protocol needs images, and {datamodule.name} holds vectors")
    return TensorSource(datamodule.split(split)[0], datamodule.num_levels, seed)


def check_finite(finite: bool, device: torch.device) -> None:
    """End all processes if the samples of one are not finite; every process must call this.

    Raises:
        DivergedError: on every process.
    """
    if any_process(not finite, device):
        raise DivergedError("samples are not finite")


def own_chunks(
    total: int, size: int, seed: int, label: str
) -> Iterator[tuple[range, torch.Generator]]:
    """Yield this process's chunks, each with a generator seeded by (seed, chunk), with a bar."""
    rank, world_size = world()
    chunks = list(enumerate(_chunks(total, size)))[rank::world_size]
    for i, index in tqdm(chunks, desc=label, unit="chunk", disable=rank > 0 or None, leave=False):
        yield index, torch.Generator().manual_seed(fold_seed(seed, i))


def _chunks(total: int, size: int) -> list[range]:
    return [range(i * size, min((i + 1) * size, total)) for i in range(math.ceil(total / size))]
