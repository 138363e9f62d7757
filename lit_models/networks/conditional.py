"""Networks that are given labels: wrappers that join them to what a plain network takes."""

import torch
from torch import Tensor, nn

__all__ = ["ConditionalDiscriminator", "ConditionalGenerator"]


class ConditionalGenerator(nn.Module):
    """Joins labels to codes (Mirza and Osindero, 2014, https://arxiv.org/abs/1411.1784, Sec. 3).

    Differs from the paper: codes and labels meet at the input, not after a layer of their own.

    Args:
        network: Maps (B, dim + num_classes) to samples (B, ...).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Map codes (B, dim) and labels (B, num_classes) to samples (B, ...)."""
        samples: Tensor = self.network(torch.cat([z, labels], dim=1))
        return samples


class ConditionalDiscriminator(nn.Module):
    """Joins labels to images, as channels of zeros and a channel of ones.

    Mirza and Osindero, 2014, https://arxiv.org/abs/1411.1784, Sec. 3; as channels, as Radford et
    al.'s networks take them.

    Args:
        network: Maps (B, C + num_classes, H, W), or vectors (B, D + num_classes), to (B, ...).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Map samples (B, C, H, W) or (B, D), and labels (B, num_classes), to (B, ...)."""
        shape = (*labels.shape, *x.shape[2:])
        maps = labels.view(*labels.shape, *[1] * (x.dim() - 2)).expand(shape)
        result: Tensor = self.network(torch.cat([x, maps.to(x.dtype)], dim=1))
        return result
