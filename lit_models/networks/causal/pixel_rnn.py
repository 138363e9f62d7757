"""PixelRNN: LSTMs over the rows or over the diagonals of an image, in place of convolutions.

Van den Oord, Kalchbrenner and Kavukcuoglu, 2016, https://arxiv.org/abs/1601.06759, Sec. 3.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lit_models.networks.causal.pixel_cnn import MaskedConv2d, RasterStack, check_features
from lit_models.networks.causal.recurrence import lstm_cell, sweep
from lit_models.networks.causal.streaming import (
    CausalConv2d,
    Memory,
    Spot,
    Streamed,
    causal_mask,
    pixel,
)

__all__ = ["DiagonalBiLSTM", "PixelRNN", "RowLSTM"]


class LSTMBlock(Streamed, ABC):
    """An LSTM layer of h features inside a residual block of 2h (Fig. 4 of the paper).

    The 1x1 convolution after the LSTM brings its h features back to 2h, and the block's input is
    added. A subclass implements `lstm`, and `lstm_at` and `end_row` for one pixel at a time.
    """

    def __init__(self, features: int, image_channels: int) -> None:
        super().__init__()
        self.hidden = features // 2
        self.out = MaskedConv2d(self.hidden, features, 1, image_channels)

    def forward(self, x: Tensor, spot: Spot | None = None) -> Tensor:
        """Map (B, features, H, W) to the same shape."""
        if spot is not None:
            return x + self.out(self.lstm_at(x, spot), spot)
        # with the features last every convolution is a matrix product, without copies between
        # blocks, whose outputs are such views
        hidden = self.lstm(x.permute(2, 3, 0, 1))
        out = functional.linear(hidden, self.out.kernel()[:, :, 0, 0], self.out.bias)
        return x + out.permute(2, 3, 0, 1)

    @abstractmethod
    def lstm(self, x: Tensor) -> Tensor:
        """Map (H, W, B, 2h) to hidden states (H, W, B, h)."""

    @abstractmethod
    def lstm_at(self, x: Tensor, spot: Spot) -> Tensor:
        """Return the hidden state (B, h, 1, 1) of one pixel."""

    def end_row(self, row: int, size: tuple[int, int], memory: Memory) -> None:
        """Compute what the next row needs of a row that is complete."""


class RowLSTM(LSTMBlock):
    """Each row's state from a 1-d convolution over the states of the row above (Sec. 3.1).

    Args:
        features: Features 2h of the residual stream.
        image_channels: Number of image channels.
        kernel_size: Odd width of both convolutions (3 in the paper).

    Raises:
        ValueError: if the kernel's width is even.
    """

    def __init__(self, features: int, image_channels: int, kernel_size: int) -> None:
        super().__init__(features, image_channels)
        if not kernel_size % 2:
            raise ValueError(f"kernel_size must be odd, got {kernel_size}")
        left = kernel_size // 2
        # the right half of a masked row convolution is zero, so it is left out
        mask = torch.ones(4 * self.hidden, features, 1, left + 1)
        mask[:, :, 0, left] = causal_mask(4 * self.hidden, features, image_channels, False, 4)
        self.input_to_state = CausalConv2d(
            features, 4 * self.hidden, (1, left + 1), (left, 0, 0, 0), mask=mask
        )
        self.state_to_state = recurrent_weight(kernel_size, self.hidden)

    def lstm(self, x: Tensor) -> Tensor:
        weight, kernel = self.state_to_state, self.input_to_state.kernel()[:, :, 0]
        taps = kernel.shape[2]
        gates = functional.linear(x, kernel[..., -1], self.input_to_state.bias)
        for k in range(1, taps):  # of the pixels to the left
            seen = functional.linear(x[:, :-k], kernel[..., taps - 1 - k])
            gates = gates + functional.pad(seen, (0, 0, 0, 0, k, 0))
        spans = [(0, gates.shape[1])] * len(gates)
        return sweep(gates.to(weight.dtype), weight, len(weight) // 2, spans)

    def lstm_at(self, x: Tensor, spot: Spot) -> Tensor:
        assert spot.column is not None
        gates = self.input_to_state(x, spot)[..., 0, 0]
        pad = len(self.state_to_state) // 2
        key, above = (self, "hidden"), spot.row - 1
        cell = gates.new_zeros(len(x), self.hidden)
        if spot.row > 0:
            window = spot.memory[key][:, :, above, spot.column : spot.column + 2 * pad + 1]
            gates = gates + torch.einsum("bhk,khg->bg", window, self.state_to_state)
            cell = spot.memory[self, "cell"][:, :, above, spot.column]
        hidden, cell = lstm_cell(gates, cell)
        spot.write(key, hidden[..., None, None], (pad, pad, 0, 0))
        spot.write((self, "cell"), cell[..., None, None])
        return hidden[..., None, None]


class DiagonalBiLSTM(LSTMBlock):
    """Two LSTMs that sweep the diagonals, from the left and from the right (Sec. 3.2).

    The state of a pixel follows from those of its neighbours beside and above. The sweep from the
    right would see later pixels, so its states move down by one row before both are added.

    Args:
        features: Features 2h of the residual stream.
        image_channels: Number of image channels.
    """

    def __init__(self, features: int, image_channels: int) -> None:
        super().__init__(features, image_channels)
        self.from_left = DiagonalLSTM(features, self.hidden, image_channels)
        self.from_right = DiagonalLSTM(features, self.hidden, image_channels)

    def lstm(self, x: Tensor) -> Tensor:
        right = self.from_right(x.flip(1)).flip(1)
        return self.from_left(x) + functional.pad(right[:-1], (0, 0, 0, 0, 0, 0, 1, 0))

    def lstm_at(self, x: Tensor, spot: Spot) -> Tensor:
        assert spot.column is not None
        spot.write(self, x)
        hidden = self.from_left.at(x, spot)
        if spot.row > 0:
            above = spot.memory[self.from_right, "hidden"]
            hidden = hidden + pixel(above, spot.row - 1, spot.size[1] - 1 - spot.column)
        return hidden

    def end_row(self, row: int, size: tuple[int, int], memory: Memory) -> None:
        mirrored = memory[self].flip(3)
        for column in range(size[1]):
            spot = Spot(row, column, size, memory)
            self.from_right.at(spot.read(mirrored), spot)


class DiagonalLSTM(nn.Module):
    """One sweep: the state at (i, j) from the input there and the states at (i, j-1), (i-1, j).

    Row i of the map is moved right by i, so that a diagonal becomes a column, and one step
    computes a column of the whole batch (Fig. 3 of the paper).

    Args:
        features: Input features 2h.
        hidden: State features h.
        image_channels: Number of image channels.
    """

    def __init__(self, features: int, hidden: int, image_channels: int) -> None:
        super().__init__()
        mask = causal_mask(4 * hidden, features, image_channels, False, 4)[..., None, None]
        self.hidden = hidden
        self.input_to_state = CausalConv2d(features, 4 * hidden, (1, 1), mask=mask)
        self.state_to_state = recurrent_weight(2, hidden)  # above, left

    def forward(self, x: Tensor) -> Tensor:
        """Map (H, W, B, features) to states (H, W, B, h)."""
        height, width = x.shape[:2]
        kernel = self.input_to_state.kernel()[:, :, 0, 0]
        gates = skew(functional.linear(x, kernel, self.input_to_state.bias)).transpose(0, 1)
        # pixel (i, j) is on diagonal i + j: rows that have begun, and have not ended
        spans = [(max(0, d - width + 1), min(height, d + 1)) for d in range(len(gates))]
        weight = self.state_to_state
        states = sweep(gates.to(weight.dtype), weight, 1, spans)
        return unskew(states.transpose(0, 1), width)

    def at(self, x: Tensor, spot: Spot) -> Tensor:
        """Return the state (B, h, 1, 1) of one pixel of the sweep's own direction."""
        assert spot.column is not None
        gates = self.input_to_state(x, spot)[..., 0, 0]
        empty = gates.new_zeros(len(x), self.hidden, 1, 1)
        hidden, cells = (spot.memory.get((self, k), empty) for k in ("hidden", "cell"))
        left = pixel(hidden, spot.row, spot.column - 1) if hidden is not empty else empty
        above = pixel(hidden, spot.row - 1, spot.column) if hidden is not empty else empty
        cell = pixel(cells, spot.row, spot.column - 1) if cells is not empty else empty
        for weight, state in zip(self.state_to_state, (above, left), strict=True):
            gates = gates + state[..., 0, 0] @ weight
        new, cell = lstm_cell(gates, cell[..., 0, 0])
        spot.write((self, "hidden"), new[..., None, None])
        spot.write((self, "cell"), cell[..., None, None])
        return new[..., None, None]


class PixelRNN(RasterStack):
    """The residual blocks are LSTMs (van den Oord et al., 2016, Table 1).

    Args:
        image_shape: (C, H, W).
        num_levels: Number of levels of a pixel.
        features: Features 2h of the residual stream, a multiple of 2C.
        num_blocks: Number of LSTM layers.
        block: Builds a layer from (features, image channels): RowLSTM or DiagonalBiLSTM.
        first_kernel_size: Odd side of the first kernel (7 in the paper).
        head_features: Features of the layer before the last, a multiple of C.
        outputs: Parameters per channel; None for one logit per level.

    Raises:
        ValueError: if features do not divide among the channels, or a kernel side is even.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_levels: int,
        features: int,
        num_blocks: int,
        block: Callable[[int, int], LSTMBlock],
        first_kernel_size: int,
        head_features: int,
        outputs: int | None = None,
    ) -> None:
        check_features(features, head_features, image_shape[0])
        blocks = [block(features, image_shape[0]) for _ in range(num_blocks)]
        super().__init__(
            image_shape, num_levels, features, blocks, first_kernel_size, head_features, outputs
        )

    def start_row(
        self, levels: Tensor, row: int, memory: Memory, condition: Tensor | None = None
    ) -> None:
        size = (levels.shape[2], levels.shape[3])
        for layer in self.layers:
            if isinstance(layer, LSTMBlock) and row > 0:
                layer.end_row(row - 1, size, memory)


def recurrent_weight(window: int, hidden: int) -> nn.Parameter:
    """Return weights (window, h, 4h), uniform as torch's convolutions are."""
    limit = (window * hidden) ** -0.5
    return nn.Parameter(torch.empty(window, hidden, 4 * hidden).uniform_(-limit, limit))


def skew(x: Tensor) -> Tensor:
    """Move row i of (H, W, ...) to the right by i: (H, W + H - 1, ...), zeros around it."""
    height, width = x.shape[:2]
    total = width + height - 1
    wide = torch.cat([x, x.new_zeros(height, height, *x.shape[2:])], dim=1)
    return wide.flatten(0, 1)[: height * total].unflatten(0, (height, total))


def unskew(x: Tensor, width: int) -> Tensor:
    """Undo `skew`: (H, W + H - 1, ...) to (H, W, ...)."""
    height, total = x.shape[:2]
    flat = torch.cat([x.flatten(0, 1), x.new_zeros(height, *x.shape[2:])])
    return flat.unflatten(0, (height, total + 1))[:, :width]
