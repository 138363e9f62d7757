"""Multilayer perceptrons for vectors."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

__all__ = ["MLP"]


class MLP(nn.Sequential):
    """ReLU MLP from (B, in_features) to (B, out_features), or to (B,) when out_features is 1.

    Args:
        in_features: Width of the input.
        out_features: Width of the output.
        hidden: Widths of the hidden layers.

    Raises:
        ValueError: if a width is not positive.
    """

    def __init__(self, in_features: int, out_features: int, hidden: Sequence[int]) -> None:
        widths = [in_features, *hidden, out_features]
        if min(widths) < 1:
            raise ValueError(f"widths must be >= 1, got {widths}")
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(widths):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        super().__init__(*layers[:-1])

    def forward(self, input: Tensor) -> Tensor:
        """Map x of shape (B, in_features)."""
        y = super().forward(input)
        return y.squeeze(1) if y.shape[1] == 1 else y
