"""Precision, recall and F1 on data whose manifold is known (Lucic et al., 2018, Sec. 5)."""

import typing
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from benchmarks.core.seeds import INVERSIONS, SAMPLES, seed_of
from benchmarks.evaluation.metrics.share_within import ShareWithin
from benchmarks.evaluation.protocols.base import Protocol, check_counts
from benchmarks.evaluation.sources import (
    ImageSource,
    check_shape,
    finite_samples,
    model_of,
    own_chunks,
    real_source,
)
from datamodules.base import DataModule
from lit_models.callbacks.sample_grids import sampling
from lit_models.capabilities import HasCodes, Samples, has
from lit_models.training.noise import Noise

__all__ = ["KnownManifold", "ManifoldProtocol", "invert"]


class KnownManifold(typing.Protocol):
    """A data set that knows the manifold of its images."""

    def manifold_distance(self, images: np.ndarray) -> np.ndarray:
        """Return the Euclidean distances (N,) of images (N, C, H, W) in [0, 1] to the manifold."""


@dataclass(frozen=True)
class ManifoldProtocol(Protocol):
    """Precision: samples near the manifold. Recall: test images that the generator can make.

    A sample is precise if its Euclidean distance to the nearest image of the manifold, pixels in
    [0, 1], is at most `threshold`. A test image is recalled if inverting the generator finds a
    code whose image is within the threshold of it; a better inversion can only raise it. F1 is
    their harmonic mean.

    Attributes:
        threshold: Largest distance (.75 in the paper; from memory, not checked).
        num_samples: Number of samples.
        num_real: Number of test images, the first ones in an order drawn by the seed.
        steps: Gradient steps of an inversion.
        restarts: Codes from which an inversion starts.
        lr: Adam's step size.
        seed: The seed of the samples and the starts.
        chunk_size: Samples, and test images, per chunk.

    Raises:
        ValueError: if a number is too small.
    """

    threshold: float
    num_samples: int
    num_real: int
    steps: int
    restarts: int
    lr: float
    seed: int
    chunk_size: int
    needs: ClassVar[tuple[type, ...]] = (Samples, HasCodes)

    @property
    def value_names(self) -> list[str]:
        return ["precision", "recall", "f1"]

    def __post_init__(self) -> None:
        check_counts(self, "num_samples", "num_real", "restarts", "chunk_size")
        if self.steps < 0:
            raise ValueError(f"steps must be >= 0, got {self.steps}")
        for name in ("threshold", "lr"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)}")

    def num_scored(self, data: DataModule) -> int:
        """Return the number of samples, and of those that the inversions try."""
        return self.num_samples + self.num_real * self.restarts * self.steps

    @property
    def main_value(self) -> tuple[str, bool] | None:
        """F1: more is better."""
        return "f1", True

    def check_fit(self, source: ImageSource, data: DataModule) -> None:
        """Refuse data whose manifold is not known, too few of them, and samples of another shape.

        Raises:
            ValueError: naming what does not fit.
        """
        if not has(data, KnownManifold):
            raise ValueError(
                f"this protocol needs data of a known manifold (triangles), got {data.name}"
            )
        real_source(data, "test", self.seed).require(self.num_real)
        check_shape(source, self.num_samples, data)

    def try_out(self, source: ImageSource, data: DataModule) -> None:
        """Measure two samples, and invert the generator at two images for one step."""
        few = replace(self, num_samples=2, num_real=2, steps=1, restarts=1)
        few.rehearse(source, data)

    def measure(
        self, source: ImageSource, data: DataModule, prepared: Any, label: str, draw: int = 0
    ) -> dict[str, float]:
        assert has(data, KnownManifold)
        precision = ShareWithin(self.threshold).to(source.device)
        recall = ShareWithin(self.threshold).to(source.device)
        seed = seed_of(self.seed, SAMPLES)
        for _, images in finite_samples(
            source, self.num_samples, self.chunk_size, seed, f"{label}: precision"
        ):
            distances = data.manifold_distance((images.float() / 255).cpu().numpy())
            precision.update(torch.from_numpy(distances).to(source.device))
        model = model_of(source)
        real = real_source(data, "test", self.seed)
        seed = seed_of(self.seed, INVERSIONS)
        for index, generator in own_chunks(
            self.num_real, self.chunk_size, seed, f"{label}: recall"
        ):
            targets = real(index, generator).to(source.device) / 255
            recall.update(invert(model, targets, self.steps, self.restarts, self.lr, generator))
        p, r = float(precision.compute()), float(recall.compute())
        return {"precision": p, "recall": r, "f1": 2 * p * r / (p + r) if p + r else 0.0}


def invert(
    model: Any,
    targets: Tensor,
    steps: int,
    restarts: int,
    lr: float,
    generator: torch.Generator,
) -> Tensor:
    """Return the smallest distances (B,) of the model's images to targets that a search finds.

    Adam on the codes, kept in the prior's support, minimises the squared Euclidean distance from
    several draws of the prior.

    Args:
        model: A model with latent codes.
        targets: Images (B, C, H, W) in [0, 1].
        steps: Gradient steps.
        restarts: Draws of the prior per target.
        lr: Adam's step size.
        generator: The generator of the draws.
    """
    noise = Noise(generator, model.device, model.dtype)
    best = torch.full((len(targets),), float("inf"), device=targets.device)
    with sampling(model):
        for _ in range(restarts):
            z = model.prior(noise, len(targets)).requires_grad_()
            optimizer = torch.optim.Adam([z], lr=lr)
            for step in range(steps + 1):
                with torch.enable_grad():
                    images = model.to_images(model.decode(z)) / 255
                    squares = (images - targets).square().flatten(1).sum(1)
                    total = squares.sum()
                best = torch.minimum(best, squares.detach().sqrt())
                if step < steps:
                    (z.grad,) = torch.autograd.grad(total, z)
                    optimizer.step()
                    z.data = model.prior.project(z.data)
    return best
