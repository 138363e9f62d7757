"""The written-out gradient of the sweep against autograd through one step after the other."""

import pytest
import torch
from torch.nn.functional import pad

from lit_models.networks.causal.pixel_rnn import skew, unskew
from lit_models.networks.causal.recurrence import lstm_cell, sweep


def step_by_step(gates, weight, before, spans):
    _, positions, batch, width = gates.shape
    h, window = width // 4, len(weight)
    hidden = cell = gates.new_zeros(positions, batch, h)
    found = []
    for t, (first, end) in enumerate(spans):
        padded = pad(hidden, (0, 0, 0, 0, before, window - 1 - before))
        total = gates[t] + sum(padded[k : k + positions] @ weight[k] for k in range(window))
        hidden, cell = lstm_cell(total, cell)
        exists = torch.zeros(positions, 1, 1, dtype=gates.dtype)
        exists[first:end] = 1
        hidden, cell = hidden * exists, cell * exists
        found.append(hidden)
    return torch.stack(found)


@pytest.mark.parametrize(
    ("window", "before", "spans"),
    [
        (3, 1, [(0, 4)] * 5),  # rows
        (1, 0, [(0, 4)] * 2),
        (2, 1, [(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)]),  # diagonals of 4 x 3
    ],
)
def test_states_and_gradients(window, before, spans):
    torch.manual_seed(0)
    gates = torch.randn(len(spans), 4, 2, 12, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(window, 3, 12, dtype=torch.float64, requires_grad=True)
    target = torch.randn(len(spans), 4, 2, 3, dtype=torch.float64)
    results = []
    for function in (sweep, step_by_step):
        states = function(gates, weight, before, spans)
        results.append([states, *torch.autograd.grad((states * target).sum(), [gates, weight])])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_skew_and_back():
    x = torch.arange(1, 13).view(3, 4, 1)
    assert skew(x)[..., 0].tolist() == [
        [1, 2, 3, 4, 0, 0],
        [0, 5, 6, 7, 8, 0],
        [0, 0, 9, 10, 11, 12],
    ]
    assert torch.equal(unskew(skew(x), 4), x)
