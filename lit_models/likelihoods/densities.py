"""Log-densities in nats."""

import math

import torch
from torch import Tensor

__all__ = ["normal_log_prob", "normal_log_probs", "standard_normal_log_prob"]


def normal_log_probs(z: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    """Return log N(z_i; mu_i, sigma_i^2) of every dimension, the shape of z."""
    scaled = (z - mu) / sigma
    return -(0.5 * (scaled.square() + math.log(2 * math.pi)) + sigma.log())


def normal_log_prob(z: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    """Return log N(z; mu, diag(sigma^2)), (...), for z (..., D)."""
    return normal_log_probs(z, mu, sigma).sum(-1)


def standard_normal_log_prob(z: Tensor) -> Tensor:
    """Return log N(z; 0, I), (...), for z (..., D)."""
    return normal_log_prob(z, torch.zeros_like(z), torch.ones_like(z))
