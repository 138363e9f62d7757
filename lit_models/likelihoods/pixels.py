"""Likelihoods of discrete pixels, in nats."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, log_softmax

from lit_models.images import centred
from lit_models.likelihoods.logistic import log_logistic_bin

__all__ = [
    "BernoulliPixels",
    "CategoricalPixels",
    "DiscretizedLogisticMixture",
    "PixelLikelihood",
]


class PixelLikelihood(Protocol):
    """What the autoregressive model asks of a pixel's distribution."""

    def check_network(self, outputs: int, groups: int, channels: int, num_levels: int) -> None:
        """Raise ValueError unless the network's parameters are of this likelihood."""

    def num_uniforms(self, channels: int) -> int:
        """Return how many uniforms a draw of so many channels takes."""

    def log_prob(self, levels: Tensor, parameters: Tensor) -> Tensor:
        """Return log p(x), (B,), summed over all dimensions."""

    def draw(self, parameters: Tensor, uniform: Tensor) -> Tensor:
        """Return the levels (B, channels) of one group, drawn with uniforms (B, U) in [0, 1)."""


@dataclass(frozen=True)
class CategoricalPixels:
    """A softmax over all levels (van den Oord et al., 2016, https://arxiv.org/abs/1601.06759)."""

    def check_network(self, outputs: int, groups: int, channels: int, num_levels: int) -> None:
        if groups != channels or outputs != num_levels:
            raise ValueError(
                f"network must give {num_levels} logits for each of {channels} channels, got "
                f"{outputs} for {groups}"
            )

    def num_uniforms(self, channels: int) -> int:
        return 1

    def log_prob(self, levels: Tensor, parameters: Tensor) -> Tensor:
        """Take levels (B, C, H, W) and logits (B, num_levels, C, H, W)."""
        return -cross_entropy(parameters, levels, reduction="none").flatten(1).sum(1)

    def draw(self, parameters: Tensor, uniform: Tensor) -> Tensor:
        """Invert the distribution function: logits (B, num_levels), uniforms (B, 1) to (B, 1)."""
        cumulative = torch.softmax(parameters.double(), dim=1).cumsum(1)
        last = parameters.shape[1] - 1  # rounding may leave the sum below the uniform
        return (uniform.double() >= cumulative).sum(1, keepdim=True).clamp(max=last)


@dataclass(frozen=True)
class BernoulliPixels:
    """Binary pixels by one logit each (van den Oord et al., 2016, Sec. 5.2)."""

    def check_network(self, outputs: int, groups: int, channels: int, num_levels: int) -> None:
        if groups != channels or outputs != 1 or num_levels != 2:
            raise ValueError(
                f"network must give 1 logit for each of {channels} channels of 2 levels, got "
                f"{outputs} for {groups} of {num_levels} levels"
            )

    def num_uniforms(self, channels: int) -> int:
        return 1

    def log_prob(self, levels: Tensor, parameters: Tensor) -> Tensor:
        """Take levels (B, C, H, W), 0 or 1, and logits (B, 1, C, H, W)."""
        logits = parameters[:, 0]
        loss = binary_cross_entropy_with_logits(logits, levels.to(logits.dtype), reduction="none")
        return -loss.flatten(1).sum(1)

    def draw(self, parameters: Tensor, uniform: Tensor) -> Tensor:
        """Take logits (B, 1) and uniforms (B, 1)."""
        return (uniform.double() < parameters.double().sigmoid()).long()


@dataclass(frozen=True)
class DiscretizedLogisticMixture:
    """A mixture of logistics over whole pixels, with coupled channels.

    Salimans et al., 2017, https://arxiv.org/abs/1701.05517, Eq. 2-3. Levels lie at even
    distances in [-1, 1]; a level's probability is the mixture's mass in its bin, the outer bins
    reaching to infinity. The mean of a channel is linear in the earlier channels of the same
    pixel. A pixel has K (1 + 2 C + C (C - 1) / 2) parameters.

    Attributes:
        num_mixtures: K.
        num_levels: Number of levels.
        min_log_scale: Smallest logarithm of a scale (-7 in the authors' code).
    """

    num_mixtures: int
    num_levels: int
    min_log_scale: float = -7.0

    def num_outputs(self, channels: int) -> int:
        """Return the parameters of a pixel."""
        return self.num_mixtures * (1 + 2 * channels + channels * (channels - 1) // 2)

    def check_network(self, outputs: int, groups: int, channels: int, num_levels: int) -> None:
        wanted = self.num_outputs(channels)
        if groups != 1 or outputs != wanted or num_levels != self.num_levels:
            raise ValueError(
                f"network must give {wanted} parameters per pixel of {self.num_levels} levels for "
                f"{self.num_mixtures} mixtures of {channels} channels, got {outputs} for "
                f"{groups} groups of {num_levels} levels"
            )

    def num_uniforms(self, channels: int) -> int:
        return 1 + channels

    def log_prob(self, levels: Tensor, parameters: Tensor) -> Tensor:
        """Take levels (B, C, H, W) and parameters (B, P, 1, H, W)."""
        x = centred(levels, self.num_levels, parameters.dtype)
        logits, means, log_scales, couplings = self._split(parameters[:, :, 0], x.shape[1])
        total = log_softmax(logits, dim=1)
        for c in range(x.shape[1]):
            mean = self._mean(c, means, couplings, [x[:, None, j] for j in range(c)])
            total = total + log_logistic_bin(
                levels[:, None, c], mean, log_scales[:, c], self.num_levels
            )
        return total.logsumexp(dim=1).flatten(1).sum(1)

    def draw(self, parameters: Tensor, uniform: Tensor) -> Tensor:
        """Choose a mixture, then each channel given the earlier ones; uniforms (B, 1 + C)."""
        channels = uniform.shape[1] - 1
        parts = self._split(parameters.double()[..., None, None], channels)
        logits, means, log_scales, couplings = (p[..., 0, 0] for p in parts)
        u = uniform.double()
        chosen = CategoricalPixels().draw(logits, u[:, :1])
        drawn: list[Tensor] = []
        levels = []
        for c in range(channels):
            mean = self._mean(c, means, couplings, [x.expand_as(logits) for x in drawn])
            noise = u[:, 1 + c : 2 + c].clamp(1e-12, 1 - 1e-12).logit()
            x = mean.gather(1, chosen) + log_scales[:, c].gather(1, chosen).exp() * noise
            level = ((x + 1) * ((self.num_levels - 1) / 2)).round().clamp(0, self.num_levels - 1)
            drawn.append(centred(level, self.num_levels, level.dtype))
            levels.append(level.long())
        return torch.cat(levels, dim=1)

    def _split(self, parameters: Tensor, channels: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return logits (B, K, H, W), means and log-scales (B, C, K, H, W), couplings likewise."""
        k = self.num_mixtures
        logits, rest = parameters[:, :k], parameters[:, k:].unflatten(1, (-1, k))
        sizes = [channels, channels, channels * (channels - 1) // 2]
        means, log_scales, couplings = rest.split(sizes, dim=1)
        return logits, means, log_scales.clamp(min=self.min_log_scale), couplings.tanh()

    def _mean(self, c: int, means: Tensor, couplings: Tensor, earlier: list[Tensor]) -> Tensor:
        mean = means[:, c]
        for j, x in enumerate(earlier):
            mean = mean + couplings[:, c * (c - 1) // 2 + j] * x
        return mean
