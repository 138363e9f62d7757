"""Observation models p(x | z) of a decoder, log-probabilities in nats."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

__all__ = ["BernoulliLikelihood", "Likelihood"]


class Likelihood(Protocol):
    """What the VAE asks of an observation model; `parameters` is the decoder's output."""

    def log_prob(self, x: Tensor, parameters: Tensor) -> Tensor:
        """Return log p(x | z), (B,), summed over all dimensions."""

    def check_data(self, x: Tensor) -> None:
        """Raise ValueError where log_prob of such data would not be a log-probability."""

    def mean(self, parameters: Tensor) -> Tensor:
        """Return E[x | z], shown as the sample."""


@dataclass(frozen=True)
class BernoulliLikelihood:
    """Independent Bernoulli pixels; the decoder gives logits (B, C, H, W).

    Grey levels in [0, 1] are accepted as soft targets for training (the cross-entropy of Lucic et
    al., 2018), but then the value is no log-likelihood.
    """

    def log_prob(self, x: Tensor, parameters: Tensor) -> Tensor:
        loss = binary_cross_entropy_with_logits(
            parameters, x.expand_as(parameters), reduction="none"
        )
        return -loss.flatten(-3).sum(-1)

    def check_data(self, x: Tensor) -> None:
        if not bool(((x == 0) | (x == 1)).all()):
            raise ValueError(
                "x must be binary (0 or 1) for a Bernoulli likelihood, got grey levels"
            )

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters.sigmoid()
