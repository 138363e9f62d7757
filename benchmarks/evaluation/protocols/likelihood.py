"""The log-likelihood of data, or a bound on it."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from benchmarks.evaluation.protocols.base import Protocol, check_counts, first_value, values
from benchmarks.evaluation.sources import ImageSource, model_of, own_chunks
from datamodules.base import DataModule
from lit_models.callbacks.sample_grids import sampling
from lit_models.capabilities import HasLikelihood

__all__ = ["LikelihoodProtocol"]


@dataclass(frozen=True)
class LikelihoodProtocol(Protocol):
    """Log-likelihood of a split.

    Where `nll_nats` is among the metrics, a bound also has its own name and sign: `elbo_nats`, or
    `iwae_bound_k<K>_nats`.

    Attributes:
        metrics: By the name of their value; each takes (log-likelihoods in nats, dimensions).
        split: Split of the images.
        num_importance_samples: K of the bound; without effect on exact likelihoods.
        seed: The seed of a bound's noise, and of the choice of the images.
        chunk_size: Images per chunk.
        num_images: The number of images, the first ones in an order drawn by the seed; None for
            all.

    Raises:
        ValueError: if num_importance_samples or num_images is below 1.
    """

    metrics: Mapping[str, Metric]
    split: str
    num_importance_samples: int
    seed: int
    chunk_size: int
    num_images: int | None = None
    needs: ClassVar[tuple[type, ...]] = (HasLikelihood,)

    def __post_init__(self) -> None:
        check_counts(self, "num_importance_samples", "chunk_size")
        if self.num_images is not None and self.num_images < 1:
            raise ValueError(f"num_images must be >= 1 or null, got {self.num_images}")

    @property
    def value_names(self) -> list[str]:
        """The names of all values; those of bounds are given for bounds only."""
        k = self.num_importance_samples
        bounds = [f"iwae_bound_k{k}_nats"] if k > 1 else ["elbo_nats"]
        return [*self.metrics, *(bounds if "nll_nats" in self.metrics else [])]

    @property
    def main_value(self) -> tuple[str, bool] | None:
        return first_value(self.metrics)

    def num_scored(self, data: DataModule) -> int:
        """Return the number of images, times the samples that a bound takes of each."""
        return len(self._images(data)[0]) * self.num_importance_samples

    def check_fit(self, source: ImageSource, data: DataModule) -> None:
        x, labels = self._images(data)
        # a few samples only: whether it can be done at all
        generator = torch.Generator().manual_seed(0)
        count = min(2, self.num_importance_samples)
        self._nats(model_of(source), x[:2], labels[:2], generator, count)

    def try_out(self, source: ImageSource, data: DataModule) -> None:
        """Score an image, and let every metric take that in."""
        x, labels = data.split(self.split)
        generator = torch.Generator().manual_seed(self.seed)
        nats = self._nats(model_of(source), x[:1], labels[:1], generator, 1)
        for metric in self.metrics.values():
            copy.deepcopy(metric).to(source.device).update(nats, data.num_dims)

    def measure(
        self, source: ImageSource, data: DataModule, prepared: Any, label: str, draw: int = 0
    ) -> dict[str, float]:
        model, metrics = model_of(source), copy.deepcopy(dict(self.metrics))
        for metric in metrics.values():
            metric.to(source.device)
        x, labels = self._images(data)
        for index, generator in own_chunks(len(x), self.chunk_size, self.seed, label):
            part = slice(index.start, index.stop)
            nats = self._nats(model, x[part], labels[part], generator, self.num_importance_samples)
            for metric in metrics.values():
                metric.update(nats, data.num_dims)
        return self._with_bound(values(metrics), model)

    def _images(self, data: DataModule) -> tuple[Tensor, Tensor]:
        x, labels = data.split(self.split)
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
        model: Any,
        x: Tensor,
        labels: Tensor,
        generator: torch.Generator,
        num_samples: int,
    ) -> Tensor:
        with sampling(model):
            given = labels.to(model.device) if model.conditional else None
            return model.log_likelihood(model.encode(x), generator, num_samples, given)

    def _with_bound(self, found: dict[str, float], model: Any) -> dict[str, float]:
        """Add the bound under its own name."""
        kind = self._kind(model)
        if kind == "exact" or "nll_nats" not in found:
            return found
        name = f"iwae_bound_k{self.num_importance_samples}" if kind == "iwae" else kind
        return {**found, f"{name}_nats": -found["nll_nats"]}

    def _kind(self, model: Any) -> str:
        kind: str = model.likelihood_kind
        return "iwae" if kind != "exact" and self.num_importance_samples > 1 else kind

    def attributes(self, source: ImageSource) -> dict[str, Any]:
        """Return the kind of likelihood, its samples, and what it is of."""
        model = model_of(source)
        found: dict[str, Any] = {"likelihood": self._kind(model)}
        if found["likelihood"] != "exact":
            found["importance_samples"] = self.num_importance_samples
        if model.dequantised:
            found["of"] = "density of dequantised data"
        if model.conditional:
            found["given"] = "label"
        if model.trained_by is not None:
            found["trained_by"] = model.trained_by
        return found
