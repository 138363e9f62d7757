"""What a variational autoencoder shows of itself."""

from typing import Any

import torch
from torch import Tensor

__all__ = ["manifold", "traversals", "vae_grids"]

TRAVERSED = 10  # dimensions, and steps of each
SIDE = 20  # of the manifold


def vae_grids(model: Any, x: Tensor, labels: Tensor | None) -> dict[str, tuple[Tensor, int]]:
    """Return reconstructions, traversals of codes, and the manifold of two-dimensional ones.

    Args:
        model: A variational autoencoder.
        x: Images (64, C, H, W) in the model's range.
        labels: The labels of the images; None for an unconditional model.
    """
    reconstructions = model.reconstruct(x, labels)
    pairs = torch.stack([x.to(reconstructions.dtype), reconstructions], dim=1)
    found = {"reconstructions": (pairs[:32].flatten(0, 1), 16)}
    found["traversals"] = (traversals(model), TRAVERSED)
    if model.prior.dim == 2:
        found["manifold"] = (manifold(model), SIDE)
    return found


def traversals(model: Any) -> Tensor:
    """Return a row per code dimension, from -3 to 3, the others at 0."""
    rows = min(model.prior.dim, TRAVERSED)
    z = torch.zeros(rows, TRAVERSED, model.prior.dim)
    for i in range(rows):
        z[i, :, i] = torch.linspace(-3, 3, TRAVERSED)
    pictures: Tensor = model.decode(z.to(next(model.parameters())).flatten(0, 1))
    return pictures


def manifold(model: Any) -> Tensor:
    """Return decoded quantiles of the prior (Kingma and Welling, 2014, Fig. 4)."""
    axis = torch.special.ndtri((torch.arange(SIDE) + 0.5) / SIDE).to(next(model.parameters()))
    pictures: Tensor = model.decode(torch.cartesian_prod(axis, axis))
    return pictures
