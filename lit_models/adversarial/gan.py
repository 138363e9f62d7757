"""The GAN with a scalar discriminator: any loss, any penalty, any networks."""

import copy
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from lit_models.adversarial.engine import AdversarialModel, Objective, Player
from lit_models.adversarial.losses import AdversarialLoss
from lit_models.adversarial.penalties import Penalty
from lit_models.base import OptimizerFactory
from lit_models.images import DataRange
from lit_models.priors import Prior
from lit_models.schedules import Schedule

__all__ = ["GAN"]


class GAN(AdversarialModel):
    """n_critic discriminator updates, each on its own images and noise, then one generator update.

    Goodfellow et al., 2014, https://arxiv.org/abs/1406.2661, Algorithm 1; the rest is in the loss
    and the penalty. One training step takes n_critic x batch_size images.

    Args:
        generator: Maps codes to samples (B, ...) in the data range.
        discriminator: Maps samples (B, ...) to logits (B,).
        prior: Draws codes.
        loss: Adversarial loss.
        optimizer_g: Builds the generator's optimizer.
        optimizer_d: Builds the discriminator's optimizer.
        batch_size: Images per discriminator update, over all processes.
        n_critic: Discriminator updates per generator update.
        data_range: The range of the generator's samples.
        penalty: Added to the discriminator's loss; None for none.
        weight_clip: WGAN's clipping of every discriminator parameter, after each of its steps.
        reuse_noise: Let the generator's update use the codes of the last discriminator update, as
            Lucic et al.'s code does, instead of fresh ones.
        ema_decay: Decay of the generator's averaged weights; None for no average.
        schedule: Factor on both learning rates.
        clip_grad_norm: Largest gradient norm of either player.

    Raises:
        ValueError: if n_critic < 1 or ema_decay is not in (0, 1).
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        prior: Prior,
        loss: AdversarialLoss,
        optimizer_g: OptimizerFactory,
        optimizer_d: OptimizerFactory,
        batch_size: int,
        n_critic: int,
        data_range: DataRange,
        penalty: Penalty | None = None,
        weight_clip: float | None = None,
        reuse_noise: bool = False,
        ema_decay: float | None = None,
        schedule: Schedule | None = None,
        clip_grad_norm: float | None = None,
    ) -> None:
        super().__init__(batch_size, data_range, schedule, clip_grad_norm)
        if n_critic < 1:
            raise ValueError(f"n_critic must be >= 1, got {n_critic}")
        if ema_decay is not None and not 0 < ema_decay < 1:
            raise ValueError(f"ema_decay must be between 0 and 1 or null, got {ema_decay}")
        self.generator, self.discriminator = generator, discriminator
        self.prior, self.loss, self.penalty = prior, loss, penalty
        self.n_critic, self.reuse_noise = n_critic, reuse_noise
        self._players_by_name = {
            "discriminator": Player(discriminator, optimizer_d, weight_clip),
            "generator": Player(generator, optimizer_g),
        }
        self.ema_decay = ema_decay
        self.ema_generator = None
        if ema_decay is not None:
            self.ema_generator = copy.deepcopy(generator).requires_grad_(False)

    @property
    def batches_per_step(self) -> int:
        return self.n_critic

    @property
    def available_weights(self) -> tuple[str, ...]:
        return ("raw",) if self.ema_generator is None else ("raw", "ema")

    def sampling_state(self) -> dict[str, Tensor]:
        return {k: v for k, v in self.state_dict().items() if not k.startswith("discriminator.")}

    def players(self) -> dict[str, Player]:
        return self._players_by_name

    def updates(self, x: Tensor, labels: Tensor) -> Iterator[tuple[str, Objective]]:
        for real in x.chunk(self.n_critic):
            z = self.prior(self.noise, len(real))
            yield "discriminator", partial(self.discriminator_objective, real, z)
        if not self.reuse_noise:
            z = self.prior(self.noise, len(real))
        yield "generator", partial(self.generator_objective, z)
        self._average_weights()

    def discriminator_objective(self, real: Tensor, z: Tensor) -> Tensor:
        """Return the discriminator's loss on real (B, ...) and the samples of z, with penalty."""
        with torch.no_grad():
            fake = self.generator(z)
        logits = self._logits(real), self._logits(fake)
        loss = self.loss.discriminator_loss(*logits)
        self.track(**self.loss.estimates(*logits))
        if self.penalty is not None:
            # forward, not the module: a compiled network has no second derivative
            loss = loss + self.penalty(self.discriminator.forward, real, fake, self.noise)
        return loss

    def generator_objective(self, z: Tensor) -> Tensor:
        """Return the generator's loss on the samples of z."""
        return self.loss.generator_loss(self._logits(self.generator(z)))

    def _logits(self, x: Tensor) -> Tensor:
        return self.discriminator(x).to(self.dtype)  # losses in full precision under autocast

    def decode(self, z: Tensor) -> Tensor:
        return (self.ema_generator if self.weights == "ema" else self.generator)(z)

    @torch.no_grad()
    def _average_weights(self) -> None:
        if self.ema_generator is None:
            return
        averaged = list(self.ema_generator.parameters())
        torch._foreach_lerp_(averaged, list(self.generator.parameters()), 1 - self.ema_decay)
        for mine, live in zip(self.ema_generator.buffers(), self.generator.buffers(), strict=True):
            mine.copy_(live)
