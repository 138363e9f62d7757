"""Observation models p(x | z) of a decoder, log-probabilities in nats.

Images x (..., C, H, W) are in the model's range; a decoder gives P parameters per channel,
(..., P C, H, W). Leading axes are broadcast.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax

from lit_models.images import DataRange, LevelRange, UnitRange, check_levels
from lit_models.likelihoods.densities import normal_log_probs
from lit_models.likelihoods.logistic import log_logistic_bin
from lit_models.training.noise import Noise

__all__ = [
    "BernoulliLikelihood",
    "CategoricalLikelihood",
    "DiscretizedLogistic",
    "DiscretizedLogisticPixels",
    "GaussianFixed",
    "GaussianGlobal",
    "GaussianPixels",
    "Likelihood",
]


class Likelihood(Protocol):
    """What the VAE asks of an observation model; `parameters` is the decoder's output.

    Attributes:
        dequantised: Whether it is a density, of levels with uniform noise added.
    """

    dequantised: ClassVar[bool]

    def maps(self, channels: int) -> int:
        """Return the number of maps (or values) that a decoder gives it, for so many channels."""

    def check_range(self, data_range: DataRange) -> None:
        """Raise ValueError where the likelihood is of data in another range."""

    def log_prob(self, x: Tensor, parameters: Tensor) -> Tensor:
        """Return log p(x | z), (...), summed over all dimensions."""

    def check_data(self, x: Tensor) -> None:
        """Raise ValueError where log_prob of such data would not be a log-probability."""

    def mean(self, parameters: Tensor) -> Tensor:
        """Return E[x | z]."""

    def shown(self, parameters: Tensor, noise: Noise) -> Tensor:
        """Return what is shown as the sample of x | z: its mean, or a draw."""


class ParametersPerChannel(ABC):
    """Takes `parameters_per_channel` maps for each channel, and shows the mean as the sample."""

    @property
    @abstractmethod
    def parameters_per_channel(self) -> int:
        """P."""

    def maps(self, channels: int) -> int:
        return channels * self.parameters_per_channel

    @abstractmethod
    def mean(self, parameters: Tensor) -> Tensor:
        """Return E[x | z]."""

    def shown(self, parameters: Tensor, noise: Noise) -> Tensor:
        return self.mean(parameters)


@dataclass(frozen=True)
class BernoulliLikelihood(ParametersPerChannel):
    """Independent Bernoulli pixels; the decoder gives logits (..., C, H, W).

    Grey levels in [0, 1] are accepted as soft targets for training (the cross-entropy of Lucic et
    al., 2018), but then the value is no log-likelihood.
    """

    parameters_per_channel: ClassVar[int] = 1
    dequantised: ClassVar[bool] = False

    def check_range(self, data_range: DataRange) -> None:
        _require(UnitRange, data_range, self)

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


@dataclass(frozen=True)
class CategoricalLikelihood(ParametersPerChannel):
    """A softmax over all levels of each dimension; x are integer levels.

    Attributes:
        num_levels: Number of levels.
    """

    num_levels: int
    dequantised: ClassVar[bool] = False

    @property
    def parameters_per_channel(self) -> int:
        return self.num_levels

    def check_range(self, data_range: DataRange) -> None:
        _require_levels(self.num_levels, data_range, self)

    def log_prob(self, x: Tensor, parameters: Tensor) -> Tensor:
        logits = log_softmax(_per_channel(parameters, self.num_levels), dim=-3)
        shape = torch.broadcast_shapes(logits.shape[:-3], x.shape[:-2])
        logits = logits.expand(*shape, *logits.shape[-3:])
        index = x.expand(*shape, *x.shape[-2:]).unsqueeze(-3)
        found = logits.gather(-3, index).squeeze(-3)
        return found.flatten(-3).sum(-1)

    def check_data(self, x: Tensor) -> None:
        check_levels(x, self.num_levels)

    def mean(self, parameters: Tensor) -> Tensor:
        p = _per_channel(parameters, self.num_levels).softmax(dim=-3)
        levels = torch.arange(self.num_levels, dtype=p.dtype, device=p.device)
        return (p * levels[:, None, None]).sum(-3)


class DiscretizedLogisticPixels(ParametersPerChannel, nn.Module):
    """The mass of a logistic in each level's bin, its scale given per pixel by the decoder.

    Kingma et al., 2016, https://arxiv.org/abs/1606.04934, appendix C.4; the outer bins reach to
    infinity. x are integer levels; means lie in [-1, 1] as levels do.

    Args:
        num_levels: Number of levels.
    """

    parameters_per_channel = 2
    dequantised = False

    def __init__(self, num_levels: int) -> None:
        super().__init__()
        self.num_levels = num_levels

    def check_range(self, data_range: DataRange) -> None:
        _require_levels(self.num_levels, data_range, self)

    def log_prob(self, x: Tensor, parameters: Tensor) -> Tensor:
        mean, log_scale = self._split(parameters)
        return log_logistic_bin(x, mean, log_scale, self.num_levels).flatten(-3).sum(-1)

    def check_data(self, x: Tensor) -> None:
        check_levels(x, self.num_levels)

    def mean(self, parameters: Tensor) -> Tensor:
        mean, _ = self._split(parameters)
        return (mean.clamp(-1, 1) + 1) * ((self.num_levels - 1) / 2)

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_scale = _per_channel(parameters, 2).unbind(-3)
        return mean, log_scale.clamp(min=-7.0)


class DiscretizedLogistic(DiscretizedLogisticPixels):
    """The same with one learned scale for all pixels."""

    parameters_per_channel = 1

    def __init__(self, num_levels: int) -> None:
        super().__init__(num_levels)
        self.log_scale = nn.Parameter(torch.zeros(()))

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return parameters, self.log_scale.clamp(min=-7.0).expand_as(parameters)


class GaussianPixels(ParametersPerChannel, nn.Module):
    """A normal density of dequantised pixels, its deviation given per pixel by the decoder.

    x are (level + u) / num_levels with u ~ U[0, 1), a number per dimension (Theis et al., 2016,
    https://arxiv.org/abs/1511.01844, Sec. 3.1). The density is per level, so that its logarithm
    bounds the log-probability of the levels from below; it is labelled as a density all the same.

    Args:
        num_levels: Number of levels.
        min_sigma: Added to the deviation, in units of the whole range.
    """

    parameters_per_channel = 2
    dequantised = True

    def __init__(self, num_levels: int, min_sigma: float) -> None:
        super().__init__()
        if min_sigma <= 0:
            raise ValueError(f"min_sigma must be > 0, got {min_sigma}")
        self.num_levels, self.min_sigma = num_levels, min_sigma

    def check_range(self, data_range: DataRange) -> None:
        _require_levels(self.num_levels, data_range, self)

    def log_prob(self, x: Tensor, parameters: Tensor) -> Tensor:
        mean, sigma = self._split(parameters)
        per_level = normal_log_probs(x, mean, sigma) - math.log(self.num_levels)
        return per_level.flatten(-3).sum(-1)

    def check_data(self, x: Tensor) -> None:
        low, high = float(x.min()), float(x.max())
        if not 0 <= low <= high < 1:
            raise ValueError(f"x must be dequantised, in [0, 1), got {low} .. {high}")

    def mean(self, parameters: Tensor) -> Tensor:
        mean, _ = self._split(parameters)
        return (mean * self.num_levels - 0.5).clamp(0, self.num_levels - 1)

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = _per_channel(parameters, 2).unbind(-3)
        return mean, nn.functional.softplus(raw) + self.min_sigma


class GaussianGlobal(GaussianPixels):
    """The same with one learned deviation for all pixels."""

    parameters_per_channel = 1

    def __init__(self, num_levels: int, min_sigma: float) -> None:
        super().__init__(num_levels, min_sigma)
        self.raw_sigma = nn.Parameter(torch.zeros(()))

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        sigma = nn.functional.softplus(self.raw_sigma) + self.min_sigma
        return parameters, sigma.expand_as(parameters)


class GaussianFixed(GaussianPixels):
    """The same with a given deviation.

    Args:
        num_levels: Number of levels.
        sigma: Deviation, in units of the whole range.
    """

    parameters_per_channel = 1

    def __init__(self, num_levels: int, sigma: float) -> None:
        if sigma <= 0:
            raise ValueError(f"sigma must be > 0, got {sigma}")
        super().__init__(num_levels, sigma)

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return parameters, torch.full_like(parameters, self.min_sigma)


def _per_channel(parameters: Tensor, count: int) -> Tensor:
    """Return (..., C, P, H, W) of a decoder's (..., C P, H, W)."""
    return parameters.unflatten(-3, (-1, count))


def _require(kind: type, data_range: DataRange, likelihood: object) -> None:
    if not isinstance(data_range, kind):
        raise ValueError(
            f"data_range must be {kind.__name__} for {type(likelihood).__name__}, got "
            f"{type(data_range).__name__}"
        )


def _require_levels(num_levels: int, data_range: DataRange, likelihood: object) -> None:
    _require(LevelRange, data_range, likelihood)
    assert isinstance(data_range, LevelRange)
    if data_range.num_levels != num_levels:
        raise ValueError(
            f"num_levels of {type(likelihood).__name__} must be the data's "
            f"{data_range.num_levels}, got {num_levels}"
        )
