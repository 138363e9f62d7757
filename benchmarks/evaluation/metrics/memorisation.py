"""Whether samples lie nearer to the training images than unseen images do."""

import torch
from torch import Tensor

from benchmarks.evaluation.metrics.neighbours import nearest
from benchmarks.evaluation.metrics.stored import StoredFeatures

__all__ = ["Memorisation"]


class Memorisation(StoredFeatures):
    r"""Distances from samples to their nearest training image, against those of test images.

    The direction is from the sample to the training set: how near it is to something that the
    model saw. A test image's distance says what chance gives.

    - `copied`: the probability that a sample lies nearer to the training set than a test image
      does, ties counted half (Mann and Whitney's U; Meehan et al., 2020,
      https://arxiv.org/abs/2004.05675, Sec. 3, the whole space as one cell). 1 for copies, .5 for
      a model as far from the training set as new data are, less for samples that are no images.
    - `too_near`: share of samples nearer than all but `quantile` of the test images; `quantile`
      for new data, 1 for copies.
    - `distance_ratio`: median distance of samples over that of test images.

    Args:
        quantile: The quantile of the test images' distances, the threshold of `too_near`.

    Raises:
        ValueError: if quantile is not in (0, 1); from compute, with fewer than 1 / quantile
            images of a side, if training features are constant, or any are not finite.
    """

    higher_is_better = False
    value_names = ("copied", "too_near", "distance_ratio")

    def __init__(self, quantile: float) -> None:
        if not 0 < quantile < 1:
            raise ValueError(f"quantile must be > 0 and < 1, got {quantile}")
        super().__init__(least=round(1 / quantile), names=("real", "fake", "train"))
        self.quantile = quantile

    def compute(self) -> dict[str, Tensor]:
        """Return the three numbers, float64 scalars."""
        train, real, fake = self.rows("train"), self.rows("real"), self.rows("fake")
        if bool((train == train[0]).all()):
            raise ValueError("Memorisation needs training features that differ, got constant ones")
        expected, found = nearest(real, train)[0], nearest(fake, train)[0]
        ordered = expected.sort().values
        below = torch.searchsorted(ordered, found, right=False)
        upto = torch.searchsorted(ordered, found, right=True)
        return {
            "copied": 1 - (below + upto).double().mean() / (2 * len(expected)),
            "too_near": (found < expected.quantile(self.quantile)).double().mean(),
            "distance_ratio": found.quantile(0.5) / expected.quantile(0.5),
        }
