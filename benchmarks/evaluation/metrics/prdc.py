"""Precision and recall, density and coverage, from balls around nearest neighbours."""

import torch
from torch import Tensor

from benchmarks.evaluation.metrics.neighbours import (
    Visit,
    kth_squares,
    prepared,
    squared_distances,
)
from benchmarks.evaluation.metrics.stored import StoredFeatures

__all__ = ["PRDC", "prdc"]


class PRDC(StoredFeatures):
    r"""Whether samples lie where real images do, and real images where samples do.

    A ball reaches from a point to its k-th nearest neighbour among its own kind. With N real x_i,
    balls B_i, and M samples y_j, balls B'_j:

    .. math::
        precision = \frac{1}{M} |\{j : y_j \in \cup_i B_i\}|, \quad
        recall = \frac{1}{N} |\{i : x_i \in \cup_j B'_j\}|

    (Kynkäänniemi et al., 2019, https://arxiv.org/abs/1904.06991, Eq. 1; k = 3; balls closed), and

    .. math::
        density = \frac{1}{k M} \sum_{ij} 1[y_j \in B_i], \quad
        coverage = \frac{1}{N} |\{i : \min_j |x_i - y_j| < radius(B_i)\}|

    (Naeem et al., 2020, https://arxiv.org/abs/2002.09797, Eq. 2 to 4; k = 5; balls open, as in
    the authors' package). Precision and density fall with samples that are no images; recall and
    coverage with modes that are missing. Coverage of the real distribution is about
    1 - 2^-k at equal counts.

    Args:
        k_precision: k of precision and recall.
        k_density: k of density and coverage.

    Raises:
        ValueError: if a k is < 1; from compute, with no more real images or samples than k, or if
            features are constant or not finite.
    """

    higher_is_better = True
    value_names = ("precision", "recall", "density", "coverage")

    def __init__(self, k_precision: int, k_density: int) -> None:
        if min(k_precision, k_density) < 1:
            raise ValueError(f"k must be >= 1, got {k_precision} and {k_density}")
        super().__init__(least=max(k_precision, k_density) + 1)
        self.k_precision, self.k_density = k_precision, k_density

    def compute(self) -> dict[str, Tensor]:
        """Return the four numbers, float64 scalars."""
        return prdc(self.rows("real"), self.rows("fake"), self.k_precision, self.k_density)


def prdc(
    real: Tensor,
    fake: Tensor,
    k_precision: int,
    k_density: int,
    visits: tuple[Visit | None, Visit | None, Visit | None] = (None, None, None),
) -> dict[str, Tensor]:
    """Return the four numbers of `PRDC` for features (N, D) and (M, D), computed in float64.

    `visits` see the dot products among real, among generated, and of real with generated features,
    from which the mean of the real ones has been taken.

    Raises:
        ValueError: if the real features are constant.
    """
    if bool((real == real[0]).all()):
        raise ValueError("PRDC needs real features that differ, got constant ones")
    real, fake = prepared(real.double().mean(0), real, fake)
    closed, opened = kth_squares(real, (k_precision, k_density), visits[0])
    (reach,) = kth_squares(fake, (k_precision,), visits[1])
    precise = torch.zeros(len(fake), dtype=torch.bool, device=fake.device)
    recalled = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    balls = torch.zeros(len(fake), dtype=torch.long, device=fake.device)
    closest = torch.full_like(opened, float("inf"))
    for rows, columns, squares, rounding in squared_distances(real, fake, visits[2]):
        # equal but for rounding is equal: a copy of a real image is as far as that image
        least, most = squares - rounding, squares.add_(rounding)
        # the sign of a smallest difference: several times faster than comparing all and any()
        precise[columns] |= (least - closed[rows, None]).amin(0) <= 0
        recalled[rows] |= (least - reach[columns]).amin(1) <= 0
        balls[columns] += (most < opened[rows, None]).sum(0)
        closest[rows] = torch.minimum(closest[rows], most.amin(1))
    return {
        "precision": precise.double().mean(),
        "recall": recalled.double().mean(),
        "density": balls.double().mean() / k_density,
        "coverage": (closest < opened).double().mean(),
    }
