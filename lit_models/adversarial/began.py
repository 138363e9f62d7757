"""BEGAN: an autoencoder as the discriminator, and a proportional control of its balance."""

from typing import Any

import torch
from torch import Tensor

from lit_models.adversarial.two_player import TwoPlayerModel
from lit_models.training.collectives import mean_over_processes

__all__ = ["BEGAN"]


class BEGAN(TwoPlayerModel):
    r"""Berthelot, Schumm and Metz, 2017, https://arxiv.org/abs/1703.10717, Sec. 3.

    .. math::
        L_D = L(x) - k\, L(G(z)), \quad L_G = L(G(z)), \quad
        k \leftarrow k + \lambda (\gamma L(x) - L(G(z))), \quad L(v) = E |v - AE(v)|

    with the mean over all numbers. k starts at 0, is a buffer of the checkpoint, and is updated
    after each discriminator step over the global batch: from the errors of that step (the paper),
    or from those of the same images and codes under the new weights, the generator's update
    included where it is due (the code of Lucic et al., 2018). The convergence measure
    L(x) + |gamma L(x) - L(G(z))| is logged.

    Args:
        k_rate: lambda (.001).
        balance: gamma, the diversity ratio.
        k_min: The smallest k (0 in the paper); None where it is not clamped (Lucic et al.'s code).
        k_max: The largest k (1 in the paper); None where it is not clamped.
        k_by_new_weights: Whether k follows errors that are computed anew after the updates, as in
            Lucic et al.'s code, instead of those of the discriminator's step.
        shared: The arguments of `TwoPlayerModel`; the discriminator is an autoencoder, (B, C, H,
            W) to the same, and n_critic is 1 in the paper, 5 in Lucic et al.

    Raises:
        ValueError: if k_rate or balance is not positive, k_min > k_max, or labels are asked for.
    """

    k: Tensor

    def __init__(
        self,
        k_rate: float,
        balance: float,
        k_min: float | None,
        k_max: float | None,
        k_by_new_weights: bool = False,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        if self.conditional:
            raise ValueError(f"num_classes must be null for BEGAN, got {self.num_classes}")
        if k_rate <= 0 or balance <= 0:
            raise ValueError(f"k_rate and balance must be > 0, got {k_rate} and {balance}")
        if k_min is not None and k_max is not None and k_min > k_max:
            raise ValueError(f"k_min must be <= k_max, got {k_min} and {k_max}")
        self.k_rate, self.balance = k_rate, balance
        self.k_min, self.k_max = k_min, k_max
        self.k_by_new_weights = k_by_new_weights
        self.register_buffer("k", torch.tensor(0.0))

    def reconstruction_error(self, x: Tensor) -> Tensor:
        """Return L(x), the mean absolute error over all numbers of x (B, C, H, W)."""
        # in full precision under autocast
        return (x.to(self.dtype) - self.discriminator(x).to(self.dtype)).abs().mean()

    def discriminator_objective(self, real: Tensor, fake: Tensor, labels: Tensor | None) -> Tensor:
        """Return L(x) - k L(G(z)); keeps both errors for the update of k."""
        real_error, fake_error = self._errors(real, fake)
        self._errors_of_step = torch.stack([real_error, fake_error]).detach()
        return real_error - self.k * fake_error

    def generator_objective(self, real: Tensor, fake: Tensor, labels: Tensor | None) -> Tensor:
        """Return L(G(z))."""
        return self.reconstruction_error(fake)

    @torch.no_grad()
    def after_updates(self, real: Tensor, z: Tensor) -> None:
        errors = self._errors_of_step
        if self.k_by_new_weights:
            errors = torch.stack(self._errors(real, self.generator(z)))
        real_error, fake_error = mean_over_processes(errors)
        difference = self.balance * real_error - fake_error
        self.k += self.k_rate * difference
        if self.k_min is not None or self.k_max is not None:
            self.k.clamp_(self.k_min, self.k_max)
        self.track(k=self.k, convergence=real_error + difference.abs())

    def _errors(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        return self.reconstruction_error(real), self.reconstruction_error(fake)
