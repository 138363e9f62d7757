"""Nearest neighbours by Euclidean distance, block by block, in the dtype of the features.

Distances come from |x|^2 + |y|^2 - 2 x y, after the mean has been taken out, which keeps what
cancels small; distances that are returned are then recomputed from differences, exactly.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["BLOCK", "kth_distances", "nearest", "nearest_few", "squared_distances"]

BLOCK = 1024


def squared_distances(x: Tensor, y: Tensor) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yield (rows, columns, squared distances) for every block of x (N, D) against y (M, D)."""
    x_norm, y_norm = x.square().sum(1), y.square().sum(1)
    for i in range(0, len(x), BLOCK):
        rows = slice(i, min(i + BLOCK, len(x)))
        for j in range(0, len(y), BLOCK):
            columns = slice(j, min(j + BLOCK, len(y)))
            yield rows, columns, _block(x[rows], y[columns], x_norm[rows], y_norm[columns])


def kth_distances(x: Tensor, ks: tuple[int, ...]) -> list[Tensor]:
    """Return for each k the distance (N,) of every row of x (N, D) to its k-th nearest other row.

    A block serves its rows and, turned, its columns: half of the products.
    """
    largest = max(ks)
    best = torch.full((len(x), largest), float("inf"), dtype=x.dtype, device=x.device)
    index = torch.zeros(len(x), largest, dtype=torch.long, device=x.device)
    norm = x.square().sum(1)
    for i in range(0, len(x), BLOCK):
        rows = slice(i, min(i + BLOCK, len(x)))
        for j in range(i, len(x), BLOCK):
            columns = slice(j, min(j + BLOCK, len(x)))
            block = _block(x[rows], x[columns], norm[rows], norm[columns])
            if i == j:
                block.fill_diagonal_(float("inf"))
            else:
                _keep_smallest(best, index, columns, block.T, i)
            _keep_smallest(best, index, rows, block, j)
    exact = torch.stack([(x - x[index[:, n]]).norm(dim=1) for n in range(largest)], 1)
    ordered = exact.sort(1).values
    return [ordered[:, k - 1] for k in ks]


def nearest(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distance (N,) of every row of x (N, D) to the nearest of y (M, D), and which."""
    distance, index = nearest_few(x, y, 1)
    return distance[:, 0], index[:, 0]


def nearest_few(x: Tensor, y: Tensor, few: int) -> tuple[Tensor, Tensor]:
    """Return the distances (N, few) of rows of x to the nearest of y, and which, nearest first."""
    best = torch.full((len(x), few), float("inf"), dtype=x.dtype, device=x.device)
    index = torch.zeros(len(x), few, dtype=torch.long, device=x.device)
    for rows, columns, block in squared_distances(x, y):
        _keep_smallest(best, index, rows, block, columns.start)
    exact = torch.stack([(x - y[index[:, n]]).norm(dim=1) for n in range(few)], 1)
    exact, order = exact.sort(1)
    return exact, index.gather(1, order)


def _block(x: Tensor, y: Tensor, x_norm: Tensor, y_norm: Tensor) -> Tensor:
    block = torch.addmm(y_norm[None, :], x, y.T, alpha=-2)
    return block.add_(x_norm[:, None]).clamp_(min=0)


def _keep_smallest(best: Tensor, index: Tensor, rows: slice, block: Tensor, offset: int) -> None:
    """Merge the columns of a block, which begin at `offset`, into the smallest so far."""
    count = min(best.shape[1], block.shape[1])
    values, where = block.topk(count, dim=1, largest=False)
    values, where = torch.cat([best[rows], values], 1), torch.cat([index[rows], where + offset], 1)
    best[rows], order = values.topk(best.shape[1], dim=1, largest=False)
    index[rows] = where.gather(1, order)
