"""Nearest neighbours: blocks against the dense matrix, and an independent implementation."""

import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from benchmarks.metrics import neighbours
from benchmarks.metrics.neighbours import kth_distances, nearest, squared_distances
from tests.benchmarks.metrics.panel import gaussian


@pytest.fixture(params=[7, 64, 1024])
def block(request, monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", request.param)


@pytest.mark.usefixtures("block")
def test_blocks_equal_the_dense_matrix():
    x, y = gaussian(0, n=150), gaussian(1, n=131, shift=3)
    found = torch.full((150, 131), float("nan"), dtype=torch.float64)
    for rows, columns, squares in squared_distances(x, y):
        found[rows, columns] = squares
    torch.testing.assert_close(found, torch.cdist(x, y).square())


@pytest.mark.usefixtures("block")
def test_parity_with_scikit_learn():
    x, y = gaussian(0, n=150), gaussian(1, n=131, shift=0.5)
    theirs = NearestNeighbors(n_neighbors=6).fit(x.numpy())
    distances, _ = theirs.kneighbors()  # of other rows
    first, third, sixth = kth_distances(x, (1, 3, 6))
    for ours, k in ((first, 1), (third, 3), (sixth, 6)):
        torch.testing.assert_close(ours, torch.from_numpy(distances[:, k - 1]))
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
    assert kth_distances(torch.cat([x, x]), (1,))[0].max() == 0
