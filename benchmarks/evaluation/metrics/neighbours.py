"""Nearest neighbours by Euclidean distance, block by block, in float64.

Squared distances come from |x|^2 + |y|^2 - 2 x y; `prepared` takes the mean out of both sides
first, which keeps small what cancels. In float32 the error of that exceeds the radius of a cluster
that lies away from others. What is left of it stays within `ROUNDING` times |x|^2 + |y|^2, which
is given beside them. Distances (without the square) are recomputed from differences.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

__all__ = [
    "BLOCK",
    "Visit",
    "closest_pair",
    "kth_squares",
    "nearest",
    "nearest_few",
    "prepared",
    "squared_distances",
]

BLOCK = 1024
ROUNDING = 64  # units of the dtype's precision
Visit = Callable[[slice, slice, Tensor], None]  # takes rows, columns, and their dot products


def prepared(center: Tensor, *sides: Tensor) -> list[Tensor]:
    """Return features (N, D) of each side in float64, less the center (D,) of the features."""
    return [x.double() - center for x in sides]


def squared_distances(
    x: Tensor, y: Tensor, visit: Visit | None = None
) -> Iterator[tuple[slice, slice, Tensor, Tensor]]:
    """Yield every block of x (N, D) against y (M, D).

    Yields:
        Rows, columns, squared distances, and the largest error that rounding can have made.
    """
    x_norm, y_norm = x.square().sum(1), y.square().sum(1)
    for rows in _slices(0, len(x)):
        for columns in _slices(0, len(y)):
            dots = x[rows] @ y[columns].T
            if visit is not None:
                visit(rows, columns, dots)
            yield rows, columns, *_squares(dots, x_norm[rows], y_norm[columns])


def kth_squares(x: Tensor, ks: tuple[int, ...], visit: Visit | None = None) -> list[Tensor]:
    """Return for each k the squared distances (N,) of rows of x (N, D) to their k-th nearest row.

    A row itself is left out. A block serves its rows and, turned, its columns: half of the
    products. `visit` sees the blocks on and above the diagonal.
    """
    best, _ = _among(x, max(ks), visit)
    return [best[:, k - 1] for k in ks]


def closest_pair(x: Tensor) -> Tensor:
    """Return the smallest distance between two rows of x (N, D), a float64 scalar; 0 for equal."""
    if len(x.unique(dim=0)) < len(x):  # rounding may take a near row for the nearest
        return torch.zeros((), dtype=torch.float64, device=x.device)
    (x,) = prepared(x.double().mean(0), x)
    _, index = _among(x, 1, None)
    return _exact(x, x, index).min()


def _among(x: Tensor, few: int, visit: Visit | None) -> tuple[Tensor, Tensor]:
    best, index = _no_neighbours(x, few)
    norm = x.square().sum(1)
    for rows in _slices(0, len(x)):
        for columns in _slices(rows.start, len(x)):
            dots = x[rows] @ x[columns].T
            if visit is not None:
                visit(rows, columns, dots)
            block, _ = _squares(dots, norm[rows], norm[columns])
            if rows == columns:
                block.fill_diagonal_(float("inf"))
            else:
                _keep_smallest(best, index, columns, block.T, rows.start)
            _keep_smallest(best, index, rows, block, columns.start)
    return best, index


def nearest(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distance (N,) of every row of x (N, D) to the nearest of y (M, D), and which.

    Distances are float64.
    """
    distance, index = nearest_few(x, y, 1)
    return distance[:, 0], index[:, 0]


def nearest_few(x: Tensor, y: Tensor, few: int) -> tuple[Tensor, Tensor]:
    """Return the distances (N, few) of rows of x to the nearest of y, and which, nearest first."""
    x, y = prepared(y.double().mean(0), x, y)
    best, index = _no_neighbours(x, few)
    for rows, columns, block, _ in squared_distances(x, y):
        _keep_smallest(best, index, rows, block, columns.start)
    exact, order = _exact(x, y, index).sort(1)
    return exact, index.gather(1, order)


def _slices(start: int, end: int) -> list[slice]:
    return [slice(at, min(at + BLOCK, end)) for at in range(start, end, BLOCK)]


def _squares(dots: Tensor, x_norm: Tensor, y_norm: Tensor) -> tuple[Tensor, Tensor]:
    scale = x_norm[:, None] + y_norm
    squares = torch.add(scale, dots, alpha=-2).clamp_(min=0)
    return squares, scale.mul_(ROUNDING * torch.finfo(scale.dtype).eps)


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
