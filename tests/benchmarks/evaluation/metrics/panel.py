"""Helpers for metrics that hold features."""

import torch

from benchmarks.evaluation.features.base import Features


def gaussian(seed, n=400, d=6, shift=0.0, scale=1.0, dtype=torch.float64):
    """Draw n points of a normal distribution."""
    rng = torch.Generator().manual_seed(seed)
    return (torch.randn(n, d, generator=rng, dtype=torch.float64) * scale + shift).to(dtype)


def fed(metric, chunk=64, **sides):
    """Feed sides of features to a metric, the last chunk first, and return it."""
    for side, x in sides.items():
        for index in reversed(torch.arange(len(x)).split(chunk)):
            metric.update(Features(x[index]), index, side)
    return metric
