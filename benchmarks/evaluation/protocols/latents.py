"""How much of its codes a variational autoencoder uses."""

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from benchmarks.evaluation.protocols.base import Protocol, check_counts
from benchmarks.evaluation.sources import ImageSource, model_of, own_chunks
from datamodules.base import DataModule
from lit_models.callbacks.sample_grids import sampling
from lit_models.capabilities import HasStochasticLayers
from lit_models.training.collectives import mean_over_processes, world
from lit_models.training.noise import Noise

__all__ = ["LatentProtocol"]

MOST_LAYERS = 8


@dataclass(frozen=True)
class LatentProtocol(Protocol):
    """Active units and collapsed latents of every stochastic layer.

    A unit is active if the variance over images of its posterior mean exceeds a threshold (Burda
    et al., 2016, https://arxiv.org/abs/1509.00519, Sec. 5: .01); it is collapsed if its mean
    divergence from its prior is below another, given the codes below and above. The mean of an
    upper layer, or of a flow, is over draws, and the variance that their finite number adds is
    taken off. With a flow the divergence has no share per unit, and is not counted.

    Attributes:
        split: Split of the images.
        active_variance: Threshold of the variance.
        collapsed_nats: Threshold of the divergence.
        num_samples: Draws per image.
        seed: The seed of the draws.
        chunk_size: Images per chunk.
    """

    split: str
    active_variance: float
    collapsed_nats: float
    num_samples: int
    seed: int
    chunk_size: int
    needs: ClassVar[tuple[type, ...]] = (HasStochasticLayers,)

    @property
    def value_names(self) -> list[str]:
        """The names of all values; those of layers end in their number, from the data upwards."""
        names = ["active_units", "collapsed_latents"]
        return [*names, *(f"{n}_{i}" for i in range(1, MOST_LAYERS + 1) for n in names)]

    def __post_init__(self) -> None:
        check_counts(self, "chunk_size")
        if self.num_samples < 2:
            raise ValueError(f"num_samples must be >= 2, got {self.num_samples}")

    def num_scored(self, data: DataModule) -> int:
        return len(data.split(self.split)[0])

    def check_fit(self, source: ImageSource, data: DataModule) -> None:
        data.split(self.split)

    def try_out(self, source: ImageSource, data: DataModule) -> None:
        """Count over the images that a trial sees."""
        replace(self, num_samples=2).rehearse(source, data)

    def measure(
        self, source: ImageSource, data: DataModule, prepared: Any, label: str, draw: int = 0
    ) -> dict[str, float]:
        model = model_of(source)
        x, labels = data.split(self.split)
        sums: list[Tensor] | None = None
        with sampling(model):
            for index, generator in own_chunks(len(x), self.chunk_size, self.seed, label):
                part = slice(index.start, index.stop)
                own = _moments(model, x[part], labels[part], generator, self.num_samples)
                sums = own if sums is None else [a + b for a, b in zip(sums, own, strict=True)]
        if sums is None:  # more processes than chunks: this one counts with weight zero
            some = _moments(model, x[:1], labels[:1], torch.Generator(), self.num_samples)
            sums = [torch.zeros_like(s) for s in some]
        totals = [mean_over_processes(s) * world()[1] / len(x) for s in sums]
        found: dict[str, float] = {"active_units": 0.0}
        for layer, total in enumerate(totals, start=1):
            mean, square, within, kl = total
            active = float(((square - mean**2 - within) > self.active_variance).sum())
            found["active_units"] += active
            found[f"active_units_{layer}"] = active
            if kl.isfinite().all():
                collapsed = float((kl < self.collapsed_nats).sum())
                found["collapsed_latents"] = found.get("collapsed_latents", 0.0) + collapsed
                found[f"collapsed_latents_{layer}"] = collapsed
        return found


def _moments(
    model: Any, x: Tensor, labels: Tensor, generator: torch.Generator, num_samples: int
) -> list[Tensor]:
    """Return per layer (4, D): sums over images of mean, its square, its noise, divergence."""
    given = labels.to(model.device) if model.conditional else None
    noise = Noise(generator, model.device, model.dtype)
    found = []
    for means, divergence in model.latents(model.encode(x), noise, num_samples, given):
        mean = means.double().mean(0)
        known = len(means) == 1  # in closed form
        within = torch.zeros_like(mean) if known else means.double().var(0) / len(means)
        unknown = torch.full_like(within, math.nan)  # with a flow: no share per unit
        kl = unknown if divergence is None else divergence.double().mean(0)
        sums = [t.sum(0) for t in (mean, mean.square(), within, kl)]
        found.append(torch.stack(sums))
    return found
