"""The autoencoder that discriminates in the BEGAN of Lucic et al. (2018)."""

from collections.abc import Sequence

from torch import Tensor, nn

from lit_models.networks.convolutional.infogan import check_image_shape, initialise, leaky

__all__ = ["ConvAutoencoder"]


class ConvAutoencoder(nn.Module):
    """From images (B, C, H, W) in [0, 1] to the same, through a code.

    Conv 4x4 stride 2, w - leaky ReLU - conv 4x4 stride 2, 2w - FC code - leaky ReLU -
    FC 2w(H/4)(W/4) - leaky ReLU - deconv 4x4 stride 2, w - leaky ReLU - deconv 4x4 stride 2, C -
    sigmoid; slopes .2, and nothing between the second convolution and the code, as in the
    published code of Lucic et al., 2018, https://arxiv.org/abs/1711.10337. BatchNorm, where asked
    for, stands before the last three leaky ReLUs.

    Args:
        image_shape: (C, H, W), H and W divisible by 4.
        width: Channels w of the first layer (64 in the paper).
        code_dim: Dimension of the code (64 in the paper).
        batch_norm: Whether code, widened code and first deconvolution are normalised (a choice of
            the paper's search; not by default).
        bn_momentum: Weight of the new batch in the running statistics (.001 in the paper).
        bn_eps: Added to the variance (1e-3 in the paper).

    Raises:
        ValueError: if the image shape does not fit.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        width: int,
        code_dim: int,
        batch_norm: bool,
        bn_momentum: float,
        bn_eps: float,
    ) -> None:
        super().__init__()
        channels, height, side = check_image_shape(image_shape, width)
        grid = (2 * width, height // 4, side // 4)
        flat = grid[0] * grid[1] * grid[2]

        def activation(features: int) -> list[nn.Module]:
            return leaky(features, batch_norm, bn_momentum, bn_eps)

        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.Flatten(),
            nn.Linear(flat, code_dim),
            *activation(code_dim),
            nn.Linear(code_dim, flat),
            *activation(flat),
            nn.Unflatten(1, grid),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
            *activation(width),
            nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1),
            nn.Sigmoid(),
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to their reconstructions."""
        return self.layers(x)
