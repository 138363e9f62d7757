"""Small classifiers of 28x28 images, whose features stand in for Inception's."""

from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from benchmarks.evaluation.features.base import Features, check_hash

__all__ = [
    "LeNet",
    "LeNetDigits",
    "LeNetExtractor",
    "LeNetFashion",
    "LeNetFashionColour28",
    "LeNetFashionGrey28",
    "LeNetStackedDigits",
]

HERE = Path(__file__).parent


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


class LeNetExtractor:
    """A `LeNet` with committed weights; its card stands beside them. A subclass names the file.

    Args:
        weights_sha256: Pinned hash of the weights file.

    Raises:
        ValueError: if the weights are not those.
    """

    version = 1
    of_vectors = False
    weights: Path
    channels = 1

    def __init__(self, weights_sha256: str) -> None:
        check_hash(self.weights, [weights_sha256])
        self.network = LeNet().eval().requires_grad_(False)
        self.network.load_state_dict(safetensors.torch.load_file(self.weights))

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Features:
        """Return features of floats in [0, 255], (B, C, 28, 28), computed where they lie."""
        shape = (self.channels, 28, 28)
        if images.shape[1:] != shape:
            raise ValueError(
                f"{self.weights.stem} takes images of shape {shape}, got {tuple(images.shape[1:])}"
            )
        self.network.to(images.device)
        with torch.autocast(images.device.type, enabled=False):
            return self.features(images.float() / 255)

    def features(self, x: Tensor) -> Features:
        """Return features of (B, C, 28, 28) in [0, 1]."""
        pooled = self.network.body(x)
        return Features(pooled, self.network.head(pooled))


class LeNetFashion(LeNetExtractor):
    """Extractor `lenet_fashion`, version 1."""

    weights = HERE / "lenet_fashion.safetensors"


class LeNetDigits(LeNetExtractor):
    """Extractor `lenet_mnist`, version 1."""

    weights = HERE / "lenet_mnist.safetensors"


class LeNetStackedDigits(LeNetDigits):
    """`lenet_mnist` on each of three channels: 192 features, 1,000 classes.

    The logit of class 100 a + 10 b + c is the log-probability of digits a, b, c in red, green,
    blue.
    """

    channels = 3

    def features(self, x: Tensor) -> Features:
        """Return features (B, 192) and joint logits (B, 1000) of (B, 3, 28, 28) in [0, 1]."""
        pooled = self.network.body(x.flatten(0, 1)[:, None])
        red, green, blue = self.network.head(pooled).log_softmax(1).unflatten(0, (-1, 3)).unbind(1)
        joint = red[:, :, None, None] + green[:, None, :, None] + blue[:, None, None, :]
        return Features(pooled.unflatten(0, (-1, 3)).flatten(1), joint.flatten(1))


class LeNetFashionGrey28(LeNetFashion):
    """`lenet_fashion` on images of any size: it sees neither colour nor what 28x28 pixels lack.

    Colours are averaged; then a bilinear, antialiased resize to 28x28.
    """

    def __call__(self, images: Tensor) -> Features:
        """Return features (B, 64) of floats in [0, 255], (B, C, H, W)."""
        return super().__call__(_at_28(images).mean(1, keepdim=True))


class LeNetFashionColour28(LeNetFashion):
    """`lenet_fashion` on each of three channels, of images of any size at 28x28: 192 features.

    The resize is bilinear and antialiased. There are no logits.
    """

    channels = 3

    def __call__(self, images: Tensor) -> Features:
        """Return features (B, 192) of floats in [0, 255], (B, 3, H, W)."""
        return super().__call__(_at_28(images))

    def features(self, x: Tensor) -> Features:
        """Return features (B, 192) of (B, 3, 28, 28) in [0, 1]."""
        return Features(
            self.network.body(x.flatten(0, 1)[:, None]).unflatten(0, (-1, 3)).flatten(1)
        )


def _at_28(images: Tensor) -> Tensor:
    sides = (28, 28)
    x = images.float()
    return interpolate(x, sides, mode="bilinear", antialias=True, align_corners=False)
