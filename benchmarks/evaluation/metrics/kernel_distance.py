"""Kernel distance (KID with Inception's features)."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from benchmarks.evaluation.metrics.stored import StoredFeatures

__all__ = ["KernelDistance", "draw_subsets", "polynomial_mmd", "summary"]


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


def draw_subsets(
    num_real: int, num_fake: int, subsets: int, size: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield indices (size,) of samples and of real images, as torch-fidelity draws them."""
    rng = np.random.RandomState(seed)
    for _ in range(subsets):
        of_fake = rng.choice(num_fake, size, replace=False)
        yield torch.from_numpy(of_fake), torch.from_numpy(rng.choice(num_real, size, False))


def summary(values: Tensor) -> dict[str, Tensor]:
    """Return mean and population deviation of the subsets' values."""
    return {"kernel_distance": values.mean(), "subset_std": values.std(correction=0)}


class KernelDistance(StoredFeatures):
    """Mean of the unbiased squared MMD over subsets; its deviation over them beside it.

    Subsets are drawn as torch-fidelity does, samples first, so that the values agree with it. The
    estimate is unbiased, so it may be slightly negative.

    Args:
        subsets: Number of subsets (100).
        subset_size: Samples, and real images, per subset, without replacement (1,000).
        seed: The seed of the subsets (2020 in torch-fidelity).

    Raises:
        ValueError: if subsets < 1 or subset_size < 2; from compute, with fewer features than
            subset_size, or if they are not finite.
    """

    higher_is_better = False
    value_names = ("kernel_distance", "subset_std")

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
        subsets = draw_subsets(len(real), len(fake), self.subsets, self.subset_size, self.seed)
        values = [
            polynomial_mmd(fake[of_fake.to(fake.device)], real[of_real.to(real.device)])
            for of_fake, of_real in subsets
        ]
        return summary(torch.stack(values))
