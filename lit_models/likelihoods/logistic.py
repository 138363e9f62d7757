"""The discretized logistic: masses of evenly spaced levels. Torch only."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

__all__ = ["log_logistic_bin"]

MAX_LOG_SCALE = 20.0  # where an inner bin's share of the mass is 1e-9 of its width


def log_logistic_bin(levels: Tensor, mean: Tensor, log_scale: Tensor, num_levels: int) -> Tensor:
    """Return the log-mass of a logistic in the bin of a level, exactly and without overflow.

    Levels lie at even distances in [-1, 1]. With a and b the standardised edges, the mass of an
    inner bin is s(a) - s(b) = s(a) s(-b) (1 - exp(b - a)); of the outer ones s(a) and s(-b).

    Args:
        levels: Integers 0 .. num_levels - 1.
        mean: The mean of the logistic.
        log_scale: The log-scale of the logistic.
        num_levels: Number of levels.
    """
    inverse = (-log_scale.clamp(max=MAX_LOG_SCALE)).exp()  # or a bin's mass rounds to nothing
    x = levels.to(mean.dtype) * (2 / (num_levels - 1)) - 1 - mean
    half = 1 / (num_levels - 1)
    above, below = logsigmoid((x + half) * inverse), logsigmoid(-(x - half) * inverse)
    inner = above + below + torch.log(-torch.expm1(-2 * half * inverse))
    outer = torch.where(levels == 0, above, below)
    is_outer = (levels == 0) | (levels == num_levels - 1)
    return torch.where(is_outer, outer, inner)
