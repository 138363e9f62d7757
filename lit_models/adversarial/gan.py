"""The GAN with a scalar discriminator: any loss, any penalty, any networks."""

import torch
from torch import Tensor, nn

from lit_models.adversarial.losses import AdversarialLoss
from lit_models.adversarial.penalties import Penalty
from lit_models.adversarial.two_player import TwoPlayerModel
from lit_models.base import OptimizerFactory
from lit_models.images import DataRange
from lit_models.priors import Prior
from lit_models.training.schedules import Schedule

__all__ = ["GAN"]


class GAN(TwoPlayerModel):
    """A discriminator that gives one logit per sample; what it and the generator minimise is data.

    Goodfellow et al., 2014, https://arxiv.org/abs/1406.2661; the rest is in the loss and the
    penalty.

    Args:
        generator: Maps codes to samples (B, ...) in the data range.
        discriminator: Maps samples (B, ...) to logits (B,).
        prior: As in `TwoPlayerModel`, like every argument not named here.
        loss: Adversarial loss.
        penalty: Added to the discriminator's loss; None for none.
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
        super().__init__(
            generator,
            discriminator,
            prior,
            optimizer_g,
            optimizer_d,
            batch_size,
            n_critic,
            data_range,
            weight_clip=weight_clip,
            reuse_noise=reuse_noise,
            ema_decay=ema_decay,
            schedule=schedule,
            clip_grad_norm=clip_grad_norm,
        )
        self.loss, self.penalty = loss, penalty

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
