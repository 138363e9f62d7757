"""The generator and discriminator of Lucic et al. (2018), after the InfoGAN paper.

Lucic et al., "Are GANs Created Equal?", https://arxiv.org/abs/1711.10337, appendix; layer sizes
and initialisation as in the authors' published code. `width` scales every hidden layer; the paper
uses 64.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from lit_models.networks.norm import GlobalBatchNorm

__all__ = ["InfoGANDiscriminator", "InfoGANGenerator", "check_image_shape", "initialise", "leaky"]


def check_image_shape(
    image_shape: Sequence[int], width: int, divisor: int = 4, origin: str = ""
) -> tuple[int, int, int]:
    """Return (C, H, W); refuse sides that the network's strides do not divide, and empty layers.

    Args:
        image_shape: (C, H, W).
        width: Channels of the narrowest layer.
        divisor: What the strides come to (4 for two of 2).
        origin: Where the divisor comes from, for the message.

    Raises:
        ValueError: if the shape does not fit, or width < 1.
    """
    if len(image_shape) != 3:
        raise ValueError(f"image_shape must be (C, H, W), got {list(image_shape)}")
    channels, height, side = image_shape
    if height % divisor or side % divisor:
        raise ValueError(
            f"image_shape must have H and W divisible by {divisor}{origin}, "
            f"got {list(image_shape)}"
        )
    if width < 1:
        raise ValueError(f"width must be >= 1, got {width}")
    return channels, height, side


def initialise(network: nn.Module) -> None:
    """N(0, .02), truncated at two deviations for convolutions; biases 0, BatchNorm gains 1."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.trunc_normal_(module.weight, std=0.02, a=-0.04, b=0.04)
        elif isinstance(module, nn.Linear | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Conv2d | nn.Linear | nn.ConvTranspose2d):
            nn.init.zeros_(module.bias)


def leaky(features: int, batch_norm: bool, bn_momentum: float, bn_eps: float) -> list[nn.Module]:
    """Return a leaky ReLU of slope .2, after BatchNorm where asked for."""
    layers: list[nn.Module] = [nn.LeakyReLU(0.2)]
    if batch_norm:
        layers.insert(0, GlobalBatchNorm(features, eps=bn_eps, momentum=bn_momentum))
    return layers


class InfoGANGenerator(nn.Module):
    """From codes (B, latent_dim) to images (B, C, H, W).

    FC 16w - FC 2w(H/4)(W/4) - deconv 4x4 stride 2, w - deconv 4x4 stride 2, C; BatchNorm and
    leaky ReLU after all but the last.

    Args:
        latent_dim: Dimension of the code.
        image_shape: (C, H, W), H and W divisible by 4.
        width: Channels w of the last hidden layer (64 in the paper).
        negative_slope: The negative slope of the leaky ReLU; 0 gives a ReLU (.2 for GANs, 0 for
            the VAE's decoder).
        bn_momentum: Weight of the new batch in the running statistics (.001 in the paper).
        bn_eps: Added to the variance (1e-3 in the paper).
        output: Last activation (sigmoid for a GAN, identity for logits).

    Raises:
        ValueError: if the image shape does not fit.
    """

    def __init__(
        self,
        latent_dim: int,
        image_shape: Sequence[int],
        width: int,
        negative_slope: float,
        bn_momentum: float,
        bn_eps: float,
        output: nn.Module,
    ) -> None:
        super().__init__()
        channels, height, side = check_image_shape(image_shape, width)
        grid = (2 * width, height // 4, side // 4)
        flat = grid[0] * grid[1] * grid[2]

        def norm(features: int) -> list[nn.Module]:
            return [
                GlobalBatchNorm(features, eps=bn_eps, momentum=bn_momentum),
                nn.LeakyReLU(negative_slope),
            ]

        self.layers = nn.Sequential(
            nn.Linear(latent_dim, 16 * width),
            *norm(16 * width),
            nn.Linear(16 * width, flat),
            *norm(flat),
            nn.Unflatten(1, grid),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
            *norm(width),
            nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1),
            output,
        )
        initialise(self)

    def forward(self, z: Tensor) -> Tensor:
        """Map codes (B, latent_dim) to (B, C, H, W)."""
        return self.layers(z)


class InfoGANDiscriminator(nn.Module):
    """From images (B, C, H, W) to (B, out_features), or to (B,) when out_features is 1.

    Conv 4x4 stride 2, w - conv 4x4 stride 2, 2w - FC 16w - FC out; leaky ReLU .2; BatchNorm after
    the second and third layer where asked for. Also the encoder of the paper's VAE.

    Args:
        image_shape: (C, H, W), H and W divisible by 4.
        width: Channels w of the first layer (64 in the paper).
        batch_norm: Whether the second and third layer are normalised (not for WGAN-GP).
        bn_momentum: Weight of the new batch in the running statistics (.001 in the paper).
        bn_eps: Added to the variance (1e-3 in the paper).
        out_features: Number of outputs.

    Raises:
        ValueError: if the image shape does not fit.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        width: int,
        batch_norm: bool,
        bn_momentum: float,
        bn_eps: float,
        out_features: int = 1,
    ) -> None:
        super().__init__()
        channels, height, side = check_image_shape(image_shape, width)

        def norm(features: int) -> list[nn.Module]:
            return leaky(features, batch_norm, bn_momentum, bn_eps)

        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            *norm(2 * width),
            nn.Flatten(),
            nn.Linear(2 * width * (height // 4) * (side // 4), 16 * width),
            *norm(16 * width),
            nn.Linear(16 * width, out_features),
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to (B,) or (B, out_features)."""
        y = self.layers(x)
        return y.squeeze(1) if y.shape[1] == 1 else y
