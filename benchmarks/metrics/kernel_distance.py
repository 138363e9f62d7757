"""Kernel distance (KID with Inception's features)."""

import numpy as np
import torch
from torch import Tensor

from benchmarks.metrics.stored import StoredFeatures

__all__ = ["KernelDistance", "polynomial_mmd"]


def polynomial_mmd(x: Tensor, y: Tensor) -> Tensor:
    r"""Return the unbiased squared MMD of x (m, D) and y (m, D), a float64 scalar.

    Bińkowski et al., 2018, https://arxiv.org/abs/1801.01401, Sec. 2 and 3, with their kernel
    :math:`k(a, b) = (a \cdot b / D + 1)^3`.
    """
    m = len(x)

    def kernel_sum(a: Tensor, b: Tensor, off_diagonal: bool) -> Tensor:
        k = torch.mm(a, b.T).div_(a.shape[1]).add_(1)
        k = k.square().mul_(k)  # a power of 3 is several times slower
        total = k.sum(dtype=torch.float64)
        return total - k.diagonal().sum(dtype=torch.float64) if off_diagonal else total

    within = kernel_sum(x, x, True) + kernel_sum(y, y, True)
    return within / (m * (m - 1)) - 2 * kernel_sum(x, y, False) / (m * m)


class KernelDistance(StoredFeatures):
    """Mean of the unbiased squared MMD over subsets; its deviation over them beside it.

    Subsets are drawn as torch-fidelity does, samples first, so that the values agree with it. The
    estimate is unbiased, so it may be slightly negative.

    Args:
        subsets: Number of subsets (100).
        subset_size: Samples, and real images, per subset, without replacement (1,000).
        seed: Of the subsets (2020 in torch-fidelity).

    Raises:
        ValueError: if subsets < 1 or subset_size < 2; from compute, with fewer features than
            subset_size, or if they are not finite.
    """

    higher_is_better = False

    def __init__(self, subsets: int, subset_size: int, seed: int) -> None:
        if subsets < 1 or subset_size < 2:
            raise ValueError(
                f"subsets must be >= 1 and subset_size >= 2, got {subsets} and {subset_size}"
            )
        super().__init__(least=subset_size)
        self.subsets, self.subset_size, self.seed = subsets, subset_size, seed

    def compute(self) -> dict[str, Tensor]:
        """Return the mean and the population deviation over the subsets, float64 scalars."""
        real, fake = self.rows("real"), self.rows("fake")
        rng = np.random.RandomState(self.seed)
        values = []
        for _ in range(self.subsets):
            of_fake, of_real = (
                torch.from_numpy(rng.choice(len(x), self.subset_size, replace=False)).to(x.device)
                for x in (fake, real)
            )
            values.append(polynomial_mmd(fake[of_fake], real[of_real]))
        found = torch.stack(values)
        return {"kernel_distance": found.mean(), "subset_std": found.std(correction=0)}
