"""Metrics that need all features at once, not sums over them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from benchmarks.evaluation.features.base import Features
from benchmarks.evaluation.metrics.base import SampleMetric

__all__ = ["StoredFeatures", "gather_rows"]


def gather_rows(x: Tensor, group: Any = None) -> list[Tensor]:
    """Return every process's rows (N_r, ...); a process without rows may hold any empty tensor."""
    count = dist.get_world_size(group)
    kinds: list[Any] = [None] * count
    dist.all_gather_object(kinds, (tuple(x.shape), x.dtype), group)
    shapes = [shape for shape, _ in kinds]
    tail, dtype = next(((s[1:], t) for s, t in kinds if 0 not in s), (shapes[0][1:], x.dtype))
    rows = [s[0] if 0 not in s else 0 for s in shapes]
    padded = torch.zeros(max(rows), *tail, dtype=dtype, device=x.device)
    padded[: rows[dist.get_rank(group)]] = x if x.numel() else x.new_zeros(0, *tail).to(dtype)
    parts = [torch.empty_like(padded) for _ in range(count)]
    dist.all_gather(parts, padded, group)
    return [part[:n] for part, n in zip(parts, rows, strict=True)]


class StoredFeatures(SampleMetric):
    """Keeps the pooled features of each side with their global index.

    However many processes share the work, `rows` returns the features in the order of their
    index, so that what a subclass computes depends on nothing else.

    Args:
        least: Smallest number of features of a side; below it `rows` refuses.
        names: Sides that are kept.
    """

    def __init__(self, least: int, names: Sequence[str] = ("real", "fake")) -> None:
        super().__init__(dist_sync_fn=gather_rows)
        self.least, self.sides = least, tuple(names)
        for side in self.sides:
            self.add_state(f"{side}_features", [], dist_reduce_fx="cat")
            self.add_state(f"{side}_index", [], dist_reduce_fx="cat")

    def update(self, features: Features, index: Tensor, side: str = "fake") -> None:
        """Keep features (B, D) with global indices (B,) of a side; other sides are ignored."""
        if side in self.sides:
            getattr(self, f"{side}_features").append(features.pooled)
            getattr(self, f"{side}_index").append(index.to(features.pooled.device))

    def check_counts(self, counts: Mapping[str, int]) -> None:
        for side in self.sides:
            self._check_count(side, counts.get(side, 0))

    def _check_count(self, side: str, count: int) -> None:
        if count < self.least:
            name = type(self).__name__
            raise ValueError(f"{name} needs at least {self.least} {side} samples, got {count}")

    def rows(self, side: str) -> Tensor:
        """Return all features (N, D) of a side, by their index.

        Raises:
            ValueError: if there are too few, or they are not finite.
        """
        parts, index = getattr(self, f"{side}_features"), getattr(self, f"{side}_index")
        parts = [parts] if isinstance(parts, Tensor) else parts
        index = [index] if isinstance(index, Tensor) else index
        self._check_count(side, sum(len(part) for part in parts))
        x = torch.cat(parts)[torch.cat(index).argsort()]
        if not bool(x.isfinite().all()):
            name = type(self).__name__
            raise ValueError(f"{name} needs finite features, got NaN or infinity ({side} samples)")
        return x
