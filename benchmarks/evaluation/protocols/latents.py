"""How much of its codes a variational autoencoder uses."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from benchmarks.evaluation.features.cache import FeatureCache
from benchmarks.evaluation.sources import (
    ImageSource,
    ModelSource,
    check_protocol_counts,
    own_chunks,
)
from datamodules.base import DataModule
from lit_models.callbacks.sample_grids import sampling
from lit_models.training.collectives import mean_over_processes, world
from lit_models.training.noise import Noise
from lit_models.vae.lit_vae import VAE

__all__ = ["LatentProtocol"]

MOST_LAYERS = 8


@dataclass(frozen=True)
class LatentProtocol:
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
        seed: Of the draws.
        chunk_size: Images per chunk.
    """

    split: str
    active_variance: float
    collapsed_nats: float
    num_samples: int
    seed: int
    chunk_size: int
    repeatable: ClassVar[bool] = False

    @property
    def value_names(self) -> list[str]:
        """The names of all values; those of layers end in their number, from the data upwards."""
        names = ["active_units", "collapsed_latents"]
        return [*names, *(f"{n}_{i}" for i in range(1, MOST_LAYERS + 1) for n in names)]

    def __post_init__(self) -> None:
        check_protocol_counts(self, "chunk_size")
        if self.num_samples < 2:
            raise ValueError(f"num_samples must be >= 2, got {self.num_samples}")

    def num_scored(self, datamodule: DataModule) -> int:
        """Return the number of images."""
        return len(datamodule.split(self.split)[0])

    @property
    def main_value(self) -> tuple[str, bool] | None:
        """None: neither more nor fewer active units are better."""
        return None

    def check(self, source: ImageSource, datamodule: DataModule) -> None:
        """Refuse what has no codes with a posterior.

        Raises:
            ValueError: if the source is no variational autoencoder.
        """
        if not isinstance(source, ModelSource):
            raise ValueError("this protocol needs a variational autoencoder, got images")
        if not isinstance(source.model, VAE):
            raise ValueError(
                f"this protocol needs a variational autoencoder; {type(source.model).__name__} "
                f"is none (it has {source.model.scores})"
            )
        datamodule.split(self.split)

    def try_out(self, source: ImageSource, datamodule: DataModule) -> None:
        """Count over the images that a trial sees."""
        replace(self, num_samples=2).run(source, datamodule, None, "trial")

    def run(
        self,
        source: ImageSource,
        datamodule: DataModule,
        cache: FeatureCache | None,
        label: str,
        draw: int = 0,
    ) -> dict[str, float]:
        """Count, over all processes."""
        assert isinstance(source, ModelSource)
        model: Any = source.model
        x, labels = datamodule.split(self.split)
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
        found: dict[str, float] = {"active_units": 0.0, "collapsed_latents": 0.0}
        for layer, total in enumerate(totals, start=1):
            mean, square, within, kl = total
            active = float(((square - mean**2 - within) > self.active_variance).sum())
            found["active_units"] += active
            found[f"active_units_{layer}"] = active
            if model.flow is None:
                collapsed = float((kl < self.collapsed_nats).sum())
                found["collapsed_latents"] += collapsed
                found[f"collapsed_latents_{layer}"] = collapsed
        if model.flow is not None:
            del found["collapsed_latents"]
        return found

    def attributes(self, source: ImageSource) -> dict[str, Any]:
        """Return nothing: it has no variants."""
        return {}


def _moments(
    model: VAE, x: Tensor, labels: Tensor, generator: torch.Generator, num_samples: int
) -> list[Tensor]:
    """Return per layer (4, D): sums over images of mean, its square, its noise, divergence."""
    given = labels.to(model.device) if model.conditional else None
    noise = Noise(generator, model.device, model.dtype)
    found = []
    for means, divergence in model.latents(model.encode(x), noise, num_samples, given):
        mean = means.double().mean(0)
        known = len(means) == 1  # in closed form
        within = torch.zeros_like(mean) if known else means.double().var(0) / len(means)
        kl = within if divergence is None else divergence.double().mean(0)
        sums = [t.sum(0) for t in (mean, mean.square(), within, kl)]
        found.append(torch.stack(sums))
    return found
