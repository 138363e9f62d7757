"""Nearest neighbours by Euclidean distance, block by block, in the dtype of the features.

Distances come from |x|^2 + |y|^2 - 2 x y, after the mean has been taken out, which keeps what
cancels small; distances that are returned are then recomputed from differences, exactly.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

__all__ = ["BLOCK", "Visit", "kth_distances", "nearest", "nearest_few", "squared_distances"]

BLOCK = 1024
Visit = Callable[[slice, slice, Tensor], None]  # takes rows, columns, and their dot products


def squared_distances(
    x: Tensor, y: Tensor, visit: Visit | None = None
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yield (rows, columns, squared distances) for every block of x (N, D) against y (M, D)."""
    x_norm, y_norm = x.square().sum(1), y.square().sum(1)
    for rows in _slices(0, len(x)):
        for columns in _slices(0, len(y)):
            dots = x[rows] @ y[columns].T
            if visit is not None:
                visit(rows, columns, dots)
            yield rows, columns, _squares(dots, x_norm[rows], y_norm[columns])


def kth_distances(x: Tensor, ks: tuple[int, ...], visit: Visit | None = None) -> list[Tensor]:
    """Return for each k the distance (N,) of every row of x (N, D) to its k-th nearest other row.

    A block serves its rows and, turned, its columns: half of the products. `visit` sees the blocks
    on and above the diagonal.
    """
    largest = max(ks)
    best, index = _no_neighbours(x, largest)
    norm = x.square().sum(1)
    for rows in _slices(0, len(x)):
        for columns in _slices(rows.start, len(x)):
            dots = x[rows] @ x[columns].T
            if visit is not None:
                visit(rows, columns, dots)
            block = _squares(dots, norm[rows], norm[columns])
            if rows == columns:
                block.fill_diagonal_(float("inf"))
            else:
                _keep_smallest(best, index, columns, block.T, rows.start)
            _keep_smallest(best, index, rows, block, columns.start)
    return list(_exact(x, x, index[:, [k - 1 for k in ks]]).unbind(1))


def nearest(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distance (N,) of every row of x (N, D) to the nearest of y (M, D), and which."""
    distance, index = nearest_few(x, y, 1)
    return distance[:, 0], index[:, 0]


def nearest_few(x: Tensor, y: Tensor, few: int) -> tuple[Tensor, Tensor]:
    """Return the distances (N, few) of rows of x to the nearest of y, and which, nearest first."""
    best, index = _no_neighbours(x, few)
    for rows, columns, block in squared_distances(x, y):
        _keep_smallest(best, index, rows, block, columns.start)
    exact, order = _exact(x, y, index).sort(1)
    return exact, index.gather(1, order)


def _slices(start: int, end: int) -> list[slice]:
    return [slice(at, min(at + BLOCK, end)) for at in range(start, end, BLOCK)]


def _squares(dots: Tensor, x_norm: Tensor, y_norm: Tensor) -> Tensor:
    return (x_norm[:, None] + y_norm).add_(dots, alpha=-2).clamp_(min=0)


def _no_neighbours(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    best = torch.full((len(x), count), float("inf"), dtype=x.dtype, device=x.device)
    return best, torch.zeros(len(x), count, dtype=torch.long, device=x.device)


def _exact(x: Tensor, y: Tensor, index: Tensor) -> Tensor:
    """Return the distances (N, K) of rows of x to rows index (N, K) of y, from differences."""
    return torch.stack([(x - y[index[:, n]]).norm(dim=1) for n in range(index.shape[1])], 1)


def _keep_smallest(best: Tensor, index: Tensor, rows: slice, block: Tensor, offset: int) -> None:
    """Merge the columns of a block, which begin at `offset`, into the smallest so far."""
    count = min(best.shape[1], block.shape[1])
    values, where = block.topk(count, dim=1, largest=False)
    values, where = torch.cat([best[rows], values], 1), torch.cat([index[rows], where + offset], 1)
    best[rows], order = values.topk(best.shape[1], dim=1, largest=False)
    index[rows] = where.gather(1, order)
