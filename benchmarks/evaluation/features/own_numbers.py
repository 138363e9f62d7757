"""Vectors as their own features."""

from torch import Tensor

from benchmarks.evaluation.features.base import Features

__all__ = ["OwnNumbers"]


class OwnNumbers:
    """Extractor `own_numbers`, version 1: the features of a vector are its numbers."""

    version = 1
    of_vectors = True

    def __call__(self, images: Tensor) -> Features:
        """Return vectors (B, D) as features (B, D)."""
        return Features(images)
