"""The generator and discriminator of DCGAN (Radford et al., 2016), for any depth.

Radford, Metz and Chintala, "Unsupervised Representation Learning with Deep Convolutional GANs",
https://arxiv.org/abs/1511.06434, Sec. 3: strided convolutions instead of pooling, no fully
connected hidden layer, BatchNorm everywhere but in the generator's output and the discriminator's
input, ReLU and tanh in the generator, leaky ReLU in the discriminator.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from lit_models.networks.convolutional.infogan import check_image_shape
from lit_models.networks.norm import GlobalBatchNorm

__all__ = ["DCGANDiscriminator", "DCGANGenerator"]


def _grid(image_shape: Sequence[int], width: int, depth: int) -> tuple[int, int, int]:
    """Return channels of an image, and the sides that remain after `depth` strides of 2."""
    if width < 1 or depth < 1:
        raise ValueError(f"width and depth must be >= 1, got {width} and {depth}")
    channels, height, side = check_image_shape(image_shape, width, 2**depth, " (2^depth)")
    return channels, height // 2**depth, side // 2**depth


def _initialise(network: nn.Module) -> None:
    """N(0, .02) for all weights, N(1, .02) for BatchNorm's gains, biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, GlobalBatchNorm):
            nn.init.normal_(module.weight, mean=1.0, std=0.02)


class DCGANGenerator(nn.Module):
    """From codes (B, latent_dim) to images (B, C, H, W) in [-1, 1].

    A linear map to (width 2^(depth-1), H/2^depth, W/2^depth), then `depth` transposed 5x5
    convolutions of stride 2, each but the last halving the channels. At 64x64, depth 4 and width
    128 this is Fig. 1 of the paper: 1024, 512, 256, 128 channels.

    Args:
        latent_dim: Dimension of the code (100 in the paper).
        image_shape: (C, H, W), H and W divisible by 2^depth.
        width: Channels before the last layer (128 in the paper).
        depth: Number of transposed convolutions (4 in the paper).
        bn_momentum: Weight of the new batch in the running statistics.
        bn_eps: Added to the variance.

    Raises:
        ValueError: if the image shape does not fit.
    """

    def __init__(
        self,
        latent_dim: int,
        image_shape: Sequence[int],
        width: int,
        depth: int,
        bn_momentum: float,
        bn_eps: float,
    ) -> None:
        super().__init__()
        channels, height, side = _grid(image_shape, width, depth)
        top = width * 2 ** (depth - 1)

        def norm(features: int) -> list[nn.Module]:
            return [GlobalBatchNorm(features, eps=bn_eps, momentum=bn_momentum), nn.ReLU()]

        layers: list[nn.Module] = [
            nn.Linear(latent_dim, top * height * side),
            nn.Unflatten(1, (top, height, side)),
            *norm(top),
        ]
        for i in range(depth - 1):
            here = top // 2**i
            layers += [_upsample(here, here // 2), *norm(here // 2)]
        self.layers = nn.Sequential(*layers, _upsample(width, channels), nn.Tanh())
        _initialise(self)

    def forward(self, z: Tensor) -> Tensor:
        """Map codes (B, latent_dim) to (B, C, H, W)."""
        return self.layers(z)


class DCGANDiscriminator(nn.Module):
    """From images (B, C, H, W) to logits (B,).

    `depth` 5x5 convolutions of stride 2 that double the channels, then one linear output; leaky
    ReLU .2 after each convolution, BatchNorm in all but the first.

    Args:
        image_shape: (C, H, W), H and W divisible by 2^depth.
        width: Channels of the first layer.
        depth: Number of convolutions (4 in the paper).
        bn_momentum: Weight of the new batch in the running statistics.
        bn_eps: Added to the variance.

    Raises:
        ValueError: if the image shape does not fit.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        width: int,
        depth: int,
        bn_momentum: float,
        bn_eps: float,
    ) -> None:
        super().__init__()
        channels, height, side = _grid(image_shape, width, depth)
        layers: list[nn.Module] = [_downsample(channels, width), nn.LeakyReLU(0.2)]
        for i in range(1, depth):
            features = width * 2**i
            layers += [
                _downsample(features // 2, features),
                GlobalBatchNorm(features, eps=bn_eps, momentum=bn_momentum),
                nn.LeakyReLU(0.2),
            ]
        top = width * 2 ** (depth - 1)
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(top * height * side, 1))
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to (B,)."""
        return self.layers(x).squeeze(1)


def _upsample(features: int, out: int) -> nn.Module:
    return nn.ConvTranspose2d(features, out, 5, stride=2, padding=2, output_padding=1)


def _downsample(features: int, out: int) -> nn.Module:
    return nn.Conv2d(features, out, 5, stride=2, padding=2)
