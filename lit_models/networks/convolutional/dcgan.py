"""The generator and discriminator of DCGAN (Radford et al., 2016), for any depth.

Radford, Metz and Chintala, "Unsupervised Representation Learning with Deep Convolutional GANs",
https://arxiv.org/abs/1511.06434, Sec. 3: strided convolutions instead of pooling, no fully
connected hidden layer, BatchNorm everywhere but in the generator's output and the discriminator's
input, ReLU and tanh in the generator, leaky ReLU in the discriminator.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn

from lit_models.networks.convolutional.infogan import check_image_shape
from lit_models.networks.norm import GlobalBatchNorm

__all__ = ["DCGANDiscriminator", "DCGANGenerator", "initialise_as_radford"]


def _sides(image_shape: Sequence[int], width: int, depth: int) -> list[tuple[int, int]]:
    """Return (H, W) of an image, and after each of `depth` strides of 2, rounded up."""
    if width < 1 or depth < 1:
        raise ValueError(f"width and depth must be >= 1, got {width} and {depth}")
    _, height, side = check_image_shape(image_shape, width, 1)
    halved = [(-(-height // 2**i), -(-side // 2**i)) for i in range(depth + 1)]
    if min(halved[-2]) < 2:
        raise ValueError(
            f"image_shape must have H and W above {2 ** (depth - 1)} (2^(depth-1)), "
            f"got {list(image_shape)}"
        )
    return halved


def initialise_as_radford(network: nn.Module) -> None:
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

    A linear map to (width 2^(depth-1), H/2^depth, W/2^depth), sides rounded up, then `depth`
    transposed 5x5 convolutions of stride 2, each but the last halving the channels. At 64x64,
    depth 4 and width 128 this is Fig. 1 of the paper: 1024, 512, 256, 128 channels. A side of 28
    grows as 2, 4, 7, 14, 28, as in the code for MNIST that descends from the paper's.

    Args:
        latent_dim: Dimension of the code (100 in the paper).
        image_shape: (C, H, W), H and W above 2^(depth-1).
        width: Channels before the last layer (128 in the paper).
        depth: Number of transposed convolutions (4 in the paper).
        bn_momentum: Weight of the new batch in the running statistics.
        bn_eps: Added to the variance.
        initialise: What initialises the network; None for `initialise_as_radford`.

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
        initialise: Callable[[nn.Module], None] | None = None,
    ) -> None:
        super().__init__()
        sides = _sides(image_shape, width, depth)[::-1]  # from the code to the image
        top = width * 2 ** (depth - 1)

        def norm(features: int) -> list[nn.Module]:
            return [GlobalBatchNorm(features, eps=bn_eps, momentum=bn_momentum), nn.ReLU()]

        layers: list[nn.Module] = [
            nn.Linear(latent_dim, top * sides[0][0] * sides[0][1]),
            nn.Unflatten(1, (top, *sides[0])),
            *norm(top),
        ]
        for i, (small, large) in enumerate(pairwise(sides[:-1])):
            here = top // 2**i
            layers += [_upsample(here, here // 2, small, large), *norm(here // 2)]
        last = _upsample(width, image_shape[0], *sides[-2:])
        self.layers = nn.Sequential(*layers, last, nn.Tanh())
        (initialise or initialise_as_radford)(self)

    def forward(self, z: Tensor) -> Tensor:
        """Map codes (B, latent_dim) to (B, C, H, W)."""
        return self.layers(z)


class DCGANDiscriminator(nn.Module):
    """From images (B, C, H, W) to logits (B,).

    `depth` 5x5 convolutions of stride 2 that double the channels, then one linear output; leaky
    ReLU .2 after each convolution, BatchNorm in all but the first.

    Args:
        image_shape: (C, H, W), H and W above 2^(depth-1).
        width: Channels of the first layer.
        depth: Number of convolutions (4 in the paper).
        bn_momentum: Weight of the new batch in the running statistics.
        bn_eps: Added to the variance.
        initialise: What initialises the network; None for `initialise_as_radford`.

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
        initialise: Callable[[nn.Module], None] | None = None,
    ) -> None:
        super().__init__()
        height, side = _sides(image_shape, width, depth)[-1]
        layers: list[nn.Module] = [_downsample(image_shape[0], width), nn.LeakyReLU(0.2)]
        for i in range(1, depth):
            features = width * 2**i
            layers += [
                _downsample(features // 2, features),
                GlobalBatchNorm(features, eps=bn_eps, momentum=bn_momentum),
                nn.LeakyReLU(0.2),
            ]
        top = width * 2 ** (depth - 1)
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(top * height * side, 1))
        (initialise or initialise_as_radford)(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to (B,)."""
        return self.layers(x).squeeze(1)


def _upsample(
    features: int, out: int, small: tuple[int, int], large: tuple[int, int]
) -> nn.Module:
    spare = (large[0] - 2 * small[0] + 1, large[1] - 2 * small[1] + 1)  # 0 for an odd side
    return nn.ConvTranspose2d(features, out, 5, stride=2, padding=2, output_padding=spare)


def _downsample(features: int, out: int) -> nn.Module:
    return nn.Conv2d(features, out, 5, stride=2, padding=2)
