"""Multilayer perceptrons between images and codes, with labels where they are given."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lit_models.networks.dense.mlp import MLP

__all__ = ["CodeMLP", "ImageDecoder", "ImageEncoder"]

Activation = Callable[[], nn.Module]


def _mlp(
    in_features: int, out_features: int, hidden: Sequence[int], activation: Activation | None
) -> nn.Module:
    """An MLP with Glorot's uniform weights and zero biases."""
    layers = MLP(in_features, out_features, hidden)
    for i, layer in enumerate(layers):
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        elif activation is not None:
            layers[i] = activation()
    return nn.Sequential(*layers)


class CodeMLP(nn.Module):
    """Codes (B, in_features) to (B, out_features), Glorot-initialised.

    Args:
        in_features: Width of the input.
        out_features: Width of the output.
        hidden: Widths of the hidden layers.
        activation: Builds the activation; None for ReLU.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: Sequence[int],
        activation: Activation | None = None,
    ) -> None:
        super().__init__()
        self.layers = _mlp(in_features, out_features, hidden, activation)

    def forward(self, z: Tensor) -> Tensor:
        """Map z of shape (B, in_features)."""
        return self.layers(z)


class ImageEncoder(nn.Module):
    """Images (B, C, H, W), flattened, to (B, out_features).

    Args:
        image_shape: (C, H, W).
        out_features: Width of the output.
        hidden: Widths of the hidden layers.
        num_classes: Labels (B, num_classes) that are appended; None for none.
        activation: Builds the activation; None for ReLU.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        out_features: int,
        hidden: Sequence[int],
        num_classes: int | None = None,
        activation: Activation | None = None,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        width = math.prod(image_shape) + (num_classes or 0)
        self.layers = _mlp(width, out_features, hidden, activation)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map x, with labels where the network takes them."""
        return self.layers(_joined(x.flatten(1), labels, self.num_classes))


class ImageDecoder(nn.Module):
    """Codes (B, dim) to maps (B, C outputs, H, W), `outputs` values per channel.

    Args:
        image_shape: (C, H, W).
        dim: Width of the codes.
        hidden: Widths of the hidden layers.
        outputs: Values per channel.
        num_classes: Labels (B, num_classes) that are appended; None for none.
        activation: Builds the activation; None for ReLU.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        dim: int,
        hidden: Sequence[int],
        outputs: int,
        num_classes: int | None = None,
        activation: Activation | None = None,
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.num_classes = num_classes
        self.shape = (channels * outputs, height, width)
        fan_in = dim + (num_classes or 0)
        self.layers = _mlp(fan_in, math.prod(self.shape), hidden, activation)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map z, with labels where the network takes them."""
        return self.layers(_joined(z, labels, self.num_classes)).unflatten(1, self.shape)


def _joined(x: Tensor, labels: Tensor | None, num_classes: int | None) -> Tensor:
    given = None if labels is None else labels.shape[1]
    if given != num_classes:
        raise ValueError(
            f"num_classes of encoder and decoder must be the model's {given}, got {num_classes}"
        )
    return x if labels is None else torch.cat([x, labels], dim=1)
