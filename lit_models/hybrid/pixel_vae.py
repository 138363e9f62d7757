"""PixelVAE: a VAE whose decoder is autoregressive over the pixels."""

import torch
from torch import Tensor, nn

from lit_models.autoregressive.sampling import sample_in_raster_order
from lit_models.images import DataRange, LevelRange, check_levels
from lit_models.likelihoods.pixels import PixelLikelihood
from lit_models.networks.causal.streaming import RasterNetwork
from lit_models.training.noise import Noise

__all__ = ["AutoregressiveLikelihood"]


class AutoregressiveLikelihood(nn.Module):
    """p(x | z) as a product over pixels, given maps (..., D, H, W) that a decoder makes of z.

    Gulrajani et al., 2017, https://arxiv.org/abs/1611.05013, Sec. 3. x are integer levels.

    Args:
        network: Causal, conditioned on the maps.
        pixels: The distribution of a pixel's group of channels.
        num_levels: Number of levels.
        channels: C of the images.
    """

    dequantised = False

    def __init__(
        self, network: RasterNetwork, pixels: PixelLikelihood, num_levels: int, channels: int
    ) -> None:
        super().__init__()
        pixels.check_network(network.outputs, network.groups, channels, num_levels)
        self.network, self.pixels = network, pixels
        self.num_levels, self.channels = num_levels, channels

    def maps(self, channels: int) -> int:
        """Return D: the network is conditioned on as many maps, whatever the channels."""
        return self.network.condition_features

    def check_range(self, data_range: DataRange) -> None:
        if not isinstance(data_range, LevelRange) or data_range.num_levels != self.num_levels:
            raise ValueError(
                f"data_range must be LevelRange of {self.num_levels} levels, got {data_range}"
            )

    def check_data(self, x: Tensor) -> None:
        check_levels(x, self.num_levels)

    def log_prob(self, x: Tensor, parameters: Tensor) -> Tensor:
        """Return log p(x | z), (K, B), of x (B, C, H, W) and maps (K, B, D, H, W)."""
        lead = parameters.shape[:-3]
        levels = x.expand(*lead, *x.shape[-3:]).flatten(0, len(lead) - 1)
        outputs = self.network(levels, parameters.flatten(0, len(lead) - 1))
        return self.pixels.log_prob(levels, outputs.to(parameters.dtype)).unflatten(0, lead)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return a draw by a fixed seed: the mean has no closed form."""
        generator = torch.Generator().manual_seed(0)
        return self.shown(parameters, Noise(generator, parameters.device, torch.float64))

    def shown(self, parameters: Tensor, noise: Noise) -> Tensor:
        """Return levels drawn given the maps (B, D, H, W)."""
        noise = Noise(noise.generator, noise.device, torch.float64, noise.rank, noise.world_size)
        shape = (len(parameters), self.channels, *parameters.shape[-2:])
        with torch.no_grad():
            return sample_in_raster_order(self.network, self.pixels, shape, noise, parameters)
