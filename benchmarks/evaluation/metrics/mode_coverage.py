"""Modes of a mixture that samples reach."""

import math

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["ModeCoverage"]


class ModeCoverage(Metric):
    r"""Modes, high-quality samples and reverse KL on a mixture of equally likely Gaussians.

    Srivastava et al., 2017, https://arxiv.org/abs/1705.07761, Sec. 4.1: a sample is of high
    quality if it lies within `num_std` standard deviations of the nearest mode (so 98.9 % of
    perfect two-dimensional data at 3), and a mode counts if it is the nearest of at least one such
    sample. The reverse KL is :math:`\sum_m p_m \log (p_m K)` for the shares p of K modes (Lin et
    al., 2018, https://arxiv.org/abs/1712.04086, Sec. 4.1).

    Args:
        modes: Means (K, D).
        std: Standard deviation of a mode.
        num_std: Radius of high quality, in standard deviations.
        kl_of_high_quality: Whether the shares are over high-quality samples only; otherwise over
            all samples, by their nearest mode.

    Raises:
        ValueError: if std or num_std is not positive; from compute, without any sample.
    """

    full_state_update = False
    higher_is_better = True

    def __init__(
        self, modes: np.ndarray, std: float, num_std: float, kl_of_high_quality: bool
    ) -> None:
        super().__init__()
        if std <= 0 or num_std <= 0:
            raise ValueError(f"std and num_std must be > 0, got {std} and {num_std}")
        self.modes = torch.as_tensor(modes, dtype=torch.float64)
        self.radius, self.kl_of_high_quality = std * num_std, kl_of_high_quality
        self.add_state("nearby", torch.zeros(len(modes), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("nearest", torch.zeros(len(modes), dtype=torch.long), dist_reduce_fx="sum")

    @staticmethod
    def value_names(kl_of_high_quality: bool) -> list[str]:
        """Return the names of the values: the reverse KL's says which samples it is over."""
        kl = "reverse_kl_high_quality" if kl_of_high_quality else "reverse_kl"
        return ["modes", "high_quality_percent", kl]

    def update(self, x: Tensor) -> None:
        """Add samples (B, D)."""
        differences = x.double()[:, None] - self.modes.to(x.device)[None]
        distance, mode = differences.square().sum(2).sqrt().min(1)
        self.nearest = self.nearest + mode.bincount(minlength=len(self.modes))
        inside = mode[distance <= self.radius]
        self.nearby = self.nearby + inside.bincount(minlength=len(self.modes))

    def compute(self) -> dict[str, Tensor]:
        """Return float64 scalars by `value_names`; the reverse KL in nats.

        Without any sample to take shares of, the reverse KL is NaN.
        """
        total = self.nearest.sum()
        if int(total) == 0:
            raise ValueError("mode coverage needs at least 1 sample, got 0")
        counts = (self.nearby if self.kl_of_high_quality else self.nearest).double()
        shares = counts / counts.sum()
        kl = torch.special.xlogy(shares, shares).sum() + math.log(len(shares))
        found = (
            (self.nearby > 0).sum().double(),
            100 * self.nearby.sum().double() / total,
            kl.clamp(min=0),  # rounding may take it below zero
        )
        return dict(zip(self.value_names(self.kl_of_high_quality), found, strict=True))
