"""The autoencoder that discriminates in BEGAN."""

from collections.abc import Sequence

from torch import Tensor, nn

from lit_models.networks.infogan import check_image_shape, initialise

__all__ = ["ConvAutoencoder"]


class ConvAutoencoder(nn.Module):
    """From images (B, C, H, W) in [0, 1] to the same, through a code.

    Conv 4x4 stride 2, w - conv 4x4 stride 2, 2w - FC code - FC 2w(H/4)(W/4) - deconv 4x4 stride 2,
    w - deconv 4x4 stride 2, C - sigmoid; leaky ReLU .2 after all but the code and the last, no
    BatchNorm. After the BEGAN of Lucic et al., 2018, https://arxiv.org/abs/1711.10337; its
    activations are ours.

    Args:
        image_shape: (C, H, W), H and W divisible by 4.
        width: Channels w of the first layer (64 in the paper).
        code_dim: Dimension of the code (64 in the paper).

    Raises:
        ValueError: if the image shape does not fit.
    """

    def __init__(self, image_shape: Sequence[int], width: int, code_dim: int) -> None:
        super().__init__()
        channels, height, side = check_image_shape(image_shape, width)
        grid = (2 * width, height // 4, side // 4)
        flat = grid[0] * grid[1] * grid[2]
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(flat, code_dim),
            nn.Linear(code_dim, flat),
            nn.LeakyReLU(0.2),
            nn.Unflatten(1, grid),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1),
            nn.Sigmoid(),
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to their reconstructions."""
        return self.layers(x)
