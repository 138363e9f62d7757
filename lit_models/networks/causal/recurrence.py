"""Convolutional LSTM sweeps: a whole line of positions at each step."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["lstm_cell", "sweep"]


def sweep(gates: Tensor, weight: Tensor, before: int, spans: Sequence[tuple[int, int]]) -> Tensor:
    """Run an LSTM over T lines of P positions, each with a window over the line before.

    The gates of (t, p) are gates[t, p] + sum_k hidden[t-1, p + k - before] weight[k], its former
    cell is cell[t-1, p].

    Differentiable once, with the gradient written out: step by step through autograd it takes
    several times as long.

    Args:
        gates: Inputs to the gates o, f, i, g, (T, P, B, 4h).
        weight: (K, h, 4h).
        before: Positions of the window before p.
        spans: Per line, the first and the last position + 1 that exist; states are zero elsewhere.

    Returns:
        Hidden states, (T, P, B, h).
    """
    found: Tensor = _Sweep.apply(gates, weight, before, tuple(spans))
    return found


def lstm_cell(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Return (hidden, cell) of an LSTM from gates o, f, i, g, (..., 4h).

    Van den Oord et al., 2016, https://arxiv.org/abs/1601.06759, Eq. 3.
    """
    o, f, i, g = gates.chunk(4, dim=-1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


class _Sweep(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, weight: Tensor, before: int, spans: Sequence[tuple[int, int]]
    ) -> Tensor:
        steps, positions, batch, width = gates.shape
        window, h = len(weight), width // 4
        # line t is at index t + 1, position p at p + before; zeros around them
        hidden = gates.new_zeros(steps + 1, positions + window - 1, batch, h)
        cells = gates.new_zeros(steps + 1, positions, batch, h)
        active = gates.clone(memory_format=torch.contiguous_format)
        for t, (first, end) in enumerate(spans):
            a = active[t, first:end].view(-1, width)
            for k in range(window):
                a.addmm_(hidden[t, first + k : end + k].view(-1, h), weight[k])
            a[:, : 3 * h].sigmoid_()
            a[:, 3 * h :].tanh_()
            o, f, i, g = a.chunk(4, dim=1)
            cell = cells[t + 1, first:end].view(-1, h)
            torch.mul(f, cells[t, first:end].view(-1, h), out=cell)
            cell.addcmul_(i, g)
            torch.mul(o, cell.tanh(), out=hidden[t + 1, first + before : end + before].view(-1, h))
        ctx.save_for_backward(active, weight, hidden, cells)
        ctx.before, ctx.spans = before, spans
        return hidden[1:, before : before + positions].contiguous()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        active, weight, hidden, cells = ctx.saved_tensors
        steps, positions, _, width = active.shape
        window, h, before = len(weight), width // 4, ctx.before
        d_gates = torch.zeros_like(active)
        d_cells = torch.zeros_like(cells[0])
        d_hidden = torch.zeros_like(hidden[0])  # of the line in hand, from the line after it
        transposed = weight.transpose(1, 2)
        for t in range(steps - 1, -1, -1):
            first, end = ctx.spans[t]
            o, f, i, g = active[t, first:end].view(-1, width).chunk(4, dim=1)
            own = grad[t, first:end].reshape(-1, h)
            d_h = own + d_hidden[first + before : end + before].view(-1, h)
            squashed = cells[t + 1, first:end].view(-1, h).tanh()
            d_c = torch.addcmul(d_cells[first:end].view(-1, h), d_h * o, 1 - squashed * squashed)
            d = d_gates[t, first:end].view(-1, width)
            d_o, d_f, d_i, d_g = d.chunk(4, dim=1)
            torch.mul(d_h, squashed, out=d_o)
            torch.mul(d_c, cells[t, first:end].view(-1, h), out=d_f)
            torch.mul(d_c, g, out=d_i)
            torch.mul(d_c, i, out=d_g)
            d_g.mul_(1 - g * g)
            gating = active[t, first:end].view(-1, width)[:, : 3 * h]
            d[:, : 3 * h].mul_(gating - gating * gating)
            d_cells.zero_()
            torch.mul(d_c, f, out=d_cells[first:end].view(-1, h))
            d_hidden.zero_()
            for k in range(window):
                d_hidden[first + k : end + k].view(-1, h).addmm_(d, transposed[k])
        flat = d_gates.view(-1, width)
        lines = [hidden[:-1, k : k + positions].reshape(-1, h) for k in range(window)]
        d_weight = torch.stack([line.t() @ flat for line in lines])
        return d_gates, d_weight, None, None
