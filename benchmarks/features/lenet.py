"""A small classifier of Fashion-MNIST whose features stand in for Inception's."""

from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from benchmarks.features.base import Features, check_hash

__all__ = ["WEIGHTS", "LeNet", "LeNetFashion"]

WEIGHTS = Path(__file__).parent / "lenet_fashion.safetensors"


class LeNet(nn.Module):
    """Two 5x5 convolutions with pooling, 64 features, 10 classes, for (B, 1, 28, 28) in [0, 1].

    After LeCun et al., 1998, "Gradient-based learning applied to document recognition".
    """

    num_features = 64

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(32 * 7 * 7, self.num_features),
            nn.ReLU(),
        )
        self.head = nn.Linear(self.num_features, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, 10)."""
        return self.head(self.body(x))


class LeNetFashion:
    """Extractor `lenet_fashion`, version 1; its card stands beside the weights.

    Args:
        weights_sha256: Pinned hash of the weights file.

    Raises:
        ValueError: if the weights are not those.
    """

    def __init__(self, weights_sha256: str) -> None:
        check_hash(WEIGHTS, [weights_sha256])
        self.network = LeNet().eval().requires_grad_(False)
        self.network.load_state_dict(safetensors.torch.load_file(WEIGHTS))

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Features:
        """Return features of floats in [0, 255], (B, 1, 28, 28), computed where they lie."""
        if images.shape[1:] != (1, 28, 28):
            raise ValueError(
                f"lenet_fashion takes images of shape (1, 28, 28), got {tuple(images.shape[1:])}"
            )
        self.network.to(images.device)
        with torch.autocast(images.device.type, enabled=False):
            pooled = self.network.body(images.float() / 255)
            return Features(pooled, self.network.head(pooled))
