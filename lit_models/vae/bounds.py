"""Lower bounds on log p(x), in nats, from log importance weights of shape (K, B)."""

import math

from torch import Tensor

__all__ = ["importance_weighted_bound"]


def importance_weighted_bound(log_weights: Tensor) -> Tensor:
    """Return log (1/K) sum_k w_k, (B,), in nats; the ELBO's one-sample estimate at K = 1.

    Burda et al., 2016, https://arxiv.org/abs/1509.00519, Eq. 8.

    Args:
        log_weights: log p(x, z_k) - log q(z_k | x) with z_k drawn from q, shape (K, B).
    """
    return log_weights.logsumexp(dim=0) - math.log(log_weights.shape[0])
