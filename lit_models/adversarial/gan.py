"""The GAN with a scalar discriminator: any loss, any penalty, any networks."""

from typing import Any

import torch
from torch import Tensor

from lit_models.adversarial.losses import AdversarialLoss
from lit_models.adversarial.penalties import Penalty
from lit_models.adversarial.two_player import TwoPlayerModel

__all__ = ["GAN"]


class GAN(TwoPlayerModel):
    """A discriminator that gives one logit per sample; what it and the generator minimise is data.

    Goodfellow et al., 2014, https://arxiv.org/abs/1406.2661; the rest is in the loss and the
    penalty.

    Args:
        loss: The adversarial loss of the logits (B,).
        penalty: Added to the discriminator's loss; None for none.
        shared: The arguments of `TwoPlayerModel`.

    Raises:
        ValueError: if loss is no AdversarialLoss.
    """

    def __init__(
        self, loss: AdversarialLoss, penalty: Penalty | None = None, **shared: Any
    ) -> None:
        super().__init__(**shared)
        if not isinstance(loss, AdversarialLoss):
            raise ValueError(f"loss must be an AdversarialLoss, got {type(loss).__name__}")
        self.loss, self.penalty = loss, penalty

    def discriminator_objective(self, real: Tensor, fake: Tensor, labels: Tensor | None) -> Tensor:
        logits = self._logits(real, labels), self._logits(fake, labels)
        loss = self.loss.discriminator_loss(*logits)
        self.track(**self.loss.estimates(*logits))
        if self.penalty is not None:
            # forward, not the module: a compiled network has no second derivative
            forward: Any = self.discriminator.forward
            given = forward if labels is None else lambda x: forward(x, labels)
            loss = loss + self.penalty(given, real, fake, self.noise)
        return loss

    def generator_objective(self, real: Tensor, fake: Tensor, labels: Tensor | None) -> Tensor:
        on_real = self._real_logits(real, labels)
        return self.loss.generator_loss(on_real, self._logits(fake, labels))

    def _real_logits(self, real: Tensor, labels: Tensor | None) -> Tensor | None:
        """Return the logits of real samples, where the generator's loss looks at them."""
        if not self.loss.generator_sees_real:
            return None
        with torch.no_grad():  # the generator has no part in them
            return self._logits(real, labels)

    def _logits(self, x: Tensor, labels: Tensor | None) -> Tensor:
        # losses in full precision under autocast
        return self._with_labels(self.discriminator, x, labels).to(self.dtype)
