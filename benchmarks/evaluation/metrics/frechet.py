"""Fréchet distance between two sets of features."""

from collections.abc import Mapping

import torch
from torch import Tensor

from benchmarks.evaluation.features.base import Features
from benchmarks.evaluation.metrics.base import SampleMetric

__all__ = ["FrechetDistance", "covariance_factor", "frechet_distance"]

BLOCK = 256
OUTER_BLOCK = 512


def covariance_factor(cov: Tensor) -> Tensor:
    """Return F with F F^T = cov, (D, D): Cholesky's, or where cov is singular, of eigenvectors."""
    factor, info = torch.linalg.cholesky_ex(cov)
    if int(info) == 0:
        return factor.contiguous()  # in memory order, or a kept one would round otherwise
    values, vectors = torch.linalg.eigh(cov)
    return (vectors * values.clamp(min=0).sqrt()).contiguous()


def frechet_distance(
    mu_1: Tensor, cov_1: Tensor, mu_2: Tensor, cov_2: Tensor, factor_1: Tensor | None = None
) -> Tensor:
    r"""Return the squared Fréchet distance of two Gaussians, a float64 scalar.

    Heusel et al., 2017, https://arxiv.org/abs/1706.08500, Eq. 6:

    .. math:: \|\mu_1 - \mu_2\|^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^{1/2})

    With C_1 = F F^T, the eigenvalues of C_1 C_2 are those of the symmetric F^T C_2 F, which are
    found faster and more safely. factor_1 is F, where it is known. What rounding takes below zero
    is zero.
    """
    factor = covariance_factor(cov_1) if factor_1 is None else factor_1
    inner = _lower_congruence(factor, cov_2)
    trace_root = torch.linalg.eigvalsh(inner).clamp(min=0).sqrt().sum()
    traces = cov_1.trace() + cov_2.trace() - 2 * trace_root
    return ((mu_1 - mu_2).square().sum() + traces).clamp(min=0)


def _lower_congruence(factor: Tensor, cov: Tensor) -> Tensor:
    """Return F^T C F, or its lower triangle, which is all that eigvalsh reads.

    The zeros of a lower-triangular F are left out block by block: a third of the work.
    """
    if bool(factor.triu(1).any()):
        return factor.T @ cov @ factor
    left, out = torch.empty_like(cov), torch.zeros_like(cov)
    for at in range(0, len(cov), BLOCK):  # F^T C
        torch.mm(factor[at:, at : at + BLOCK].T, cov[at:], out=left[at : at + BLOCK])
    for at in range(0, len(cov), BLOCK):  # (F^T C) F, its upper triangle
        end = min(at + BLOCK, len(cov))
        out[:end, at:end] = left[:end, at:] @ factor[at:, at:end]
    return out.T  # in LAPACK's memory order, which spares a copy


class FrechetDistance(SampleMetric):
    """Fréchet distance of generated to real features; sums in float64, covariance over n - 1.

    Exact over any number of processes: the states are sums.

    Args:
        num_features: Dimension of the features.

    Raises:
        ValueError: from compute, with no more real or generated features than dimensions (the
            covariance would be singular and the distance badly biased), with real features that
            are constant, or with features that are not finite.
    """

    higher_is_better = False

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features
        self._real_factor: Tensor | None = None  # found once for all samples
        for side in ("real", "fake"):
            zeros = torch.zeros(num_features, dtype=torch.float64)
            square = torch.zeros(num_features, num_features, dtype=torch.float64)
            self.add_state(f"{side}_sum", zeros, dist_reduce_fx="sum")
            self.add_state(f"{side}_outer", square, dist_reduce_fx="sum")
            self.add_state(f"{side}_count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, features: Features, index: Tensor, side: str = "fake") -> None:
        """Add features (B, D) of a side; where they stand among all of them does not matter."""
        if side not in ("real", "fake"):
            return
        if side == "real":
            self._real_factor = None
        x = features.pooled.double()
        if x.shape[1] != self.num_features:
            raise ValueError(
                f"features must have {self.num_features} dimensions, got {x.shape[1]}"
            )
        for name, value in (("sum", x.sum(0)), ("count", len(x))):
            setattr(self, f"{side}_{name}", getattr(self, f"{side}_{name}") + value)
        outer = getattr(self, f"{side}_outer")
        for at in range(0, self.num_features, OUTER_BLOCK):  # its upper triangle is enough
            end = at + OUTER_BLOCK
            outer[at:end, at:].addmm_(x[:, at:end].T, x[:, at:])

    def compute(self) -> Tensor:
        """Return the distance, a float64 scalar."""
        real = self._moments("real")
        if self._real_factor is None:
            self._real_factor = covariance_factor(real[1])
        return frechet_distance(*real, *self._moments("fake"), factor_1=self._real_factor)

    def check_counts(self, counts: Mapping[str, int]) -> None:
        for side in ("real", "fake"):
            self._check_count(side, counts.get(side, 0))

    def _check_count(self, side: str, count: int) -> None:
        if count <= self.num_features:
            raise ValueError(
                f"Frechet distance needs more than {self.num_features} {side} samples, got {count}"
            )

    def _moments(self, side: str) -> tuple[Tensor, Tensor]:
        total, outer = getattr(self, f"{side}_sum"), getattr(self, f"{side}_outer")
        count = int(getattr(self, f"{side}_count"))
        self._check_count(side, count)
        if not bool(total.isfinite().all()):
            raise ValueError(
                f"Frechet distance needs finite features, got others ({side} samples)"
            )
        mean = total / count
        outer = outer.triu() + outer.triu(1).T
        cov = (outer - count * torch.outer(mean, mean)) / (count - 1)
        if side == "real" and float(cov.trace()) <= 1e-12 * float(outer.trace() / count):
            raise ValueError(
                "Frechet distance needs real features that differ, got constant ones (the "
                "covariance is zero)"
            )
        return mean, cov
