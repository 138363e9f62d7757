"""Nearest neighbours: blocks against the dense matrix, and an independent implementation."""

import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from benchmarks.evaluation.metrics import neighbours
from benchmarks.evaluation.metrics.neighbours import (
    closest_pair,
    kth_squares,
    nearest,
    squared_distances,
)
from tests.benchmarks.evaluation.metrics.panel import gaussian


@pytest.fixture(params=[7, 64, 1024])
def block(request, monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", request.param)


@pytest.mark.usefixtures("block")
def test_blocks_equal_the_dense_matrix():
    x, y = gaussian(0, n=150), gaussian(1, n=131, shift=3)
    found = torch.full((150, 131), float("nan"), dtype=torch.float64)
    for rows, columns, squares, _ in squared_distances(x, y):
        found[rows, columns] = squares
    torch.testing.assert_close(found, torch.cdist(x, y).square())


@pytest.mark.usefixtures("block")
def test_parity_with_scikit_learn():
    x, y = gaussian(0, n=150), gaussian(1, n=131, shift=0.5)
    theirs = NearestNeighbors(n_neighbors=6).fit(x.numpy())
    distances, _ = theirs.kneighbors()  # of other rows
    first, third, sixth = kth_squares(x, (1, 3, 6))
    for ours, k in ((first, 1), (third, 3), (sixth, 6)):
        torch.testing.assert_close(ours.sqrt(), torch.from_numpy(distances[:, k - 1]))
    torch.testing.assert_close(closest_pair(x).item(), distances.min())
    expected, which = theirs.kneighbors(y.numpy(), 1)
    distance, index = nearest(y, x)
    torch.testing.assert_close(distance, torch.from_numpy(expected[:, 0]))
    assert torch.equal(index, torch.from_numpy(which[:, 0]))


def test_copies_are_at_distance_zero_in_single_precision():
    """The expanded square alone would give 1e-2 here."""
    x = gaussian(0, n=300, d=64, shift=50, dtype=torch.float32)
    distance, index = nearest(x[100:200], x)
    assert torch.equal(index, torch.arange(100, 200))
    assert distance.max() == 0
    assert closest_pair(torch.cat([x, x[:1]])) == 0


def test_equal_rows_are_found_among_near_ones():
    """Rounding makes another row the nearest; the distance of the equal one is still 0."""
    x = gaussian(0, n=200, d=8)
    near = 1e4 + torch.cat([1e-9 * x, 1e-9 * x[:1]])
    assert closest_pair(near) == 0
    assert closest_pair(near[:-1]) > 0
    assert closest_pair(torch.cat([x, x[7:8]])) == 0


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_stated_rounding_covers_the_error(dtype):
    x, y = (gaussian(i, n=150, d=192, shift=3, dtype=dtype) for i in range(2))
    exact = (x.double()[:, None] - y.double()[None]).square().sum(2)
    worst = 0.0
    for rows, columns, squares, rounding in squared_distances(x, y):
        error = (squares - exact[rows, columns]).abs()
        assert (error <= rounding / 2).all()  # half for the distance, half for the radius
        worst = max(worst, (error / rounding).max().item())
    assert worst > 0.001  # and it is not idly wide
