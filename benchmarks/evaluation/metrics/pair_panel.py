"""Kernel distance, precision, recall, density and coverage from one pass over all pairs."""

import torch
from torch import Tensor

from benchmarks.evaluation.metrics.kernel_distance import KernelDistance, draw_subsets, summary
from benchmarks.evaluation.metrics.neighbours import Visit
from benchmarks.evaluation.metrics.prdc import PRDC, prdc

__all__ = ["PairPanel"]


class PairPanel(PRDC):
    """The numbers of `KernelDistance` and `PRDC`, at the cost of the latter.

    Both need the dot products of pairs, which are nearly all of their cost. Subsets as large
    together as all features (100 of 1,000 out of 10,000) would look at each pair once again.

    Args:
        k_precision: As in `PRDC`.
        k_density: As in `PRDC`.
        subsets: As in `KernelDistance`.
        subset_size: As in `KernelDistance`.
        seed: As in `KernelDistance`.

    Raises:
        ValueError: as these two.
    """

    higher_is_better = None
    value_names = KernelDistance.value_names + PRDC.value_names

    def __init__(
        self, k_precision: int, k_density: int, subsets: int, subset_size: int, seed: int
    ) -> None:
        super().__init__(k_precision, k_density)
        self.kernel = KernelDistance(subsets, subset_size, seed)  # checks its arguments
        self.least = max(self.least, subset_size)

    def compute(self) -> dict[str, Tensor]:
        """Return the six numbers, float64 scalars."""
        real, fake = self.rows("real").double(), self.rows("fake").double()
        k = self.kernel
        sums = _KernelSums(real, fake, k.subsets, k.subset_size, k.seed)
        found = prdc(real, fake, self.k_precision, self.k_density, sums.visits())
        return {**summary(sums.values()), **found}


class _KernelSums:
    """Sums of the kernel over all pairs of each subset, block by block.

    With K a block of kernel values and M the members of the subsets as columns of 0 and 1, the
    sums over the pairs within each subset are those of the columns of M * (K M).
    """

    def __init__(self, real: Tensor, fake: Tensor, subsets: int, size: int, seed: int) -> None:
        self.size = size
        self.center = real.mean(0)
        sides = {"real": real, "fake": fake}
        self.members = {s: x.new_zeros(len(x), subsets) for s, x in sides.items()}
        for i, drawn in enumerate(draw_subsets(len(real), len(fake), subsets, size, seed)):
            for side, index in zip(("fake", "real"), drawn, strict=True):
                self.members[side][index.to(real.device), i] = 1
        # x . y / D + 1 = (x - c) . (y - c) / D + part of x + part of y
        whole = self.center.square().sum()
        self.parts = {
            s: ((x - self.center) @ self.center + whole / 2) / x.shape[1] + 0.5
            for s, x in sides.items()
        }
        zero = torch.zeros(subsets, dtype=torch.float64, device=real.device)
        self.within, self.between = zero.clone(), zero.clone()
        for side, x in sides.items():  # a point with itself does not count
            own = (x.square().sum(1) / x.shape[1] + 1).double() ** 3
            self.within -= own @ self.members[side].double()

    def visits(self) -> tuple[Visit, Visit, Visit]:
        """Return what takes the blocks among real, among generated, and of both."""

        def among(side: str) -> Visit:
            def visit(rows: slice, columns: slice, dots: Tensor) -> None:
                total = self._sums(side, side, rows, columns, dots)
                self.within += total if rows == columns else 2 * total

            return visit

        def across(rows: slice, columns: slice, dots: Tensor) -> None:
            self.between += self._sums("real", "fake", rows, columns, dots)

        return among("real"), among("fake"), across

    def values(self) -> Tensor:
        """Return the unbiased squared MMD of each subset."""
        m = self.size
        return self.within / (m * (m - 1)) - 2 * self.between / (m * m)

    def _sums(self, one: str, other: str, rows: slice, columns: slice, dots: Tensor) -> Tensor:
        k = self.parts[one][rows, None] + self.parts[other][columns]
        k.add_(dots, alpha=1 / len(self.center))
        k = k.square().mul_(k)
        per_row = (k @ self.members[other][columns]).mul_(self.members[one][rows])
        return per_row.sum(0, dtype=torch.float64)
