"""Autoregressive models: exact likelihood, one pass over the pixels to sample."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from lit_models.autoregressive.sampling import sample_in_raster_order
from lit_models.base import LitGenerativeModel, OptimizerFactory
from lit_models.images import LevelRange, check_levels
from lit_models.labels import labels_in_turn, one_hot_map
from lit_models.likelihoods.pixels import PixelLikelihood
from lit_models.networks.causal.streaming import RasterNetwork
from lit_models.training.averaging import averaged_copy, follow
from lit_models.training.noise import Noise
from lit_models.training.schedules import Schedule

__all__ = ["Autoregressive"]


class Autoregressive(LitGenerativeModel):
    """Minimises -log p(x) per dimension, in nats, of images as integer levels.

    Van den Oord et al., 2016, https://arxiv.org/abs/1601.06759, Eq. 1-2: p(x) is a product over
    pixels in raster order, and over channels within a pixel. With num_classes it is p(x | label).

    Args:
        network: Causal; maps levels (B, C, H, W) to parameters (B, P, G, H, W).
        likelihood: The distribution of a pixel's group of channels.
        image_shape: (C, H, W).
        optimizer: Builds the optimizer.
        batch_size: Images per update, over all processes.
        data_range: Gives integer levels.
        schedule: Factor on the learning rate.
        num_classes: Labels the network is conditioned on; None for none.
        ema_decay: Decay of the averaged weights; None for no average.
        clip_grad_norm: Largest norm of the gradient; None for no clipping.

    Raises:
        ValueError: if network, likelihood and num_classes do not fit each other.
    """

    likelihood_kind: ClassVar[str] = "exact"
    dequantised: ClassVar[bool] = False
    trained_by: ClassVar[str | None] = None
    image_shape: tuple[int, ...]

    def __init__(
        self,
        network: RasterNetwork,
        likelihood: PixelLikelihood,
        image_shape: Sequence[int],
        optimizer: OptimizerFactory,
        batch_size: int,
        data_range: LevelRange,
        schedule: Schedule | None = None,
        num_classes: int | None = None,
        ema_decay: float | None = None,
        clip_grad_norm: float | None = None,
    ) -> None:
        super().__init__(batch_size, data_range, schedule)
        self.image_shape = tuple(image_shape)
        if not isinstance(data_range, LevelRange):
            raise ValueError(f"data_range must be LevelRange, got {type(data_range).__name__}")
        self.num_levels = data_range.num_levels
        if network.num_levels != self.num_levels:
            raise ValueError(
                f"num_levels of the network must be the data's {self.num_levels}, got "
                f"{network.num_levels}"
            )
        likelihood.check_network(
            network.outputs, network.groups, self.image_shape[0], self.num_levels
        )
        if network.condition_features != (num_classes or 0):
            raise ValueError(
                f"num_classes must be the network's {network.condition_features} condition "
                f"features, got {num_classes}"
            )
        if clip_grad_norm is not None and clip_grad_norm <= 0:
            raise ValueError(f"clip_grad_norm must be > 0 or null, got {clip_grad_norm}")
        self.network, self.likelihood, self.num_classes = network, likelihood, num_classes
        self.optimizer_factory, self.clip_grad_norm = optimizer, clip_grad_norm
        self.ema_decay = ema_decay
        self.ema_network = averaged_copy(network, ema_decay)

    @property
    def available_weights(self) -> tuple[str, ...]:
        return ("raw",) if self.ema_network is None else ("raw", "ema")

    @property
    def chosen(self) -> RasterNetwork:
        """The network that samples and likelihoods use."""
        chosen = self.ema_network if self.weights == "ema" else self.network
        assert chosen is not None
        return chosen

    def configure_optimizers(self) -> Optimizer:
        return self.optimizer_factory(self.network.parameters())

    def train_step(self, x: Tensor, labels: Tensor) -> Tensor:
        condition = self._condition(labels)
        if self.images_seen == 0:
            self._start(x, condition)
        log_prob = self.likelihood.log_prob(x, self.network(x, condition).to(self.dtype))
        loss = -log_prob.mean() / math.prod(self.image_shape)
        self.track(loss=loss, bits_per_dim=loss / math.log(2))
        return loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        if self.clip_grad_norm is not None:  # gradients are averaged by now
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_grad_norm)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.ema_network is not None:
            assert self.ema_decay is not None
            follow(self.ema_network, self.network, self.ema_decay)

    def sample(
        self,
        num_samples: int,
        generator: torch.Generator | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        return self.complete(None, 0, num_samples, generator, labels)

    def complete(
        self,
        given: Tensor | None,
        num_given: int,
        num_samples: int,
        generator: torch.Generator | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        """Draw levels (B, C, H, W) whose first num_given pixels are those of `given`.

        Raises:
            ValueError: if `given` is no such batch of levels, or num_given exceeds its pixels.
        """
        if given is not None:
            wanted = (num_samples, *self.image_shape)
            if tuple(given.shape) != wanted:
                raise ValueError(f"given must have shape {wanted}, got {tuple(given.shape)}")
            check_levels(given, self.num_levels)
            pixels = math.prod(self.image_shape[1:])
            if not 0 <= num_given <= pixels:
                raise ValueError(f"num_given must be in 0 .. {pixels}, got {num_given}")
        noise = Noise(generator, self.device, torch.float64)
        shape = (num_samples, *self.image_shape)
        labels = labels_in_turn(labels, num_samples, self.num_classes, self.device)
        condition = self._condition(labels)
        with torch.no_grad():
            return sample_in_raster_order(
                self.chosen, self.likelihood, shape, noise, condition, given, num_given
            )

    def grids(
        self, x: Tensor, labels: Tensor, generator: torch.Generator
    ) -> dict[str, tuple[Tensor, int]]:
        """Add completions: per row an image, the half that is given, and six completions."""
        found = super().grids(x, labels, generator)
        height, width = self.image_shape[1:]
        rows = x[:8].repeat_interleave(6, dim=0)
        half = (height // 2) * width
        ys = labels[:8].repeat_interleave(6) if self.conditional else None
        completed = self.complete(rows, half, len(rows), generator, ys).unflatten(0, (-1, 6))
        given = x[:8].clone()
        given.flatten(2)[:, :, half:] = 0
        pictures = torch.cat([x[:8, None], given[:, None], completed], dim=1)
        return {**found, "completions": (pictures.flatten(0, 1), 8)}

    def log_likelihood(
        self,
        x: Tensor,
        generator: torch.Generator | None = None,
        num_importance_samples: int = 1,
        labels: Tensor | None = None,
    ) -> Tensor:
        """Return log p(x), (B,), in nats; exact, so generator and samples do not matter.

        Raises:
            ValueError: for levels that do not exist, and without labels where they are needed.
        """
        check_levels(x, self.num_levels)
        return self.likelihood.log_prob(x, self.chosen(x, self._condition(labels)).to(self.dtype))

    def _start(self, x: Tensor, condition: Tensor | None) -> None:
        """Let the network set itself from the first batch, if it does."""
        self.network.start(x, condition)
        if self.ema_network is not None:
            self.ema_network.load_state_dict(self.network.state_dict())

    def _condition(self, labels: Tensor | None) -> Tensor | None:
        if self.num_classes is None:
            return None
        return one_hot_map(labels, self.num_classes, self.dtype)
