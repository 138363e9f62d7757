"""Labels as conditions of networks."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

__all__ = ["labels_in_turn", "one_hot_map"]


def one_hot_map(labels: Tensor | None, num_classes: int, dtype: Any) -> Tensor:
    """Return labels (B,) as maps (B, num_classes, 1, 1) of zeros and a one.

    Raises:
        ValueError: without labels, or if one is out of range.
    """
    if labels is None:
        raise ValueError(f"labels must be given for a model of {num_classes} classes, got None")
    if not torch.compiler.is_compiling() and labels.device.type == "cpu":
        check_labels(labels, num_classes)  # a GPU would wait; its data set was checked
    return one_hot(labels, num_classes).to(dtype)[..., None, None]


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Refuse labels that do not exist."""
    low, high = int(labels.min()), int(labels.max())
    if not 0 <= low <= high < num_classes:
        raise ValueError(f"labels must be in 0 .. {num_classes - 1}, got {low} .. {high}")


def labels_in_turn(
    labels: Tensor | None, num_samples: int, num_classes: int | None, device: torch.device
) -> Tensor | None:
    """Return the labels given, else 0, 1, ... in turn; none for a model of no classes.

    Raises:
        ValueError: if labels are given to a model of no classes, are too few, or out of range.
    """
    if num_classes is None:
        if labels is not None:
            raise ValueError("labels must be None for a model that is not conditional on them")
        return None
    if labels is None:
        return torch.arange(num_samples, device=device) % num_classes
    if len(labels) != num_samples:
        raise ValueError(f"labels must be {num_samples}, one per sample, got {len(labels)}")
    check_labels(labels, num_classes)
    return labels
