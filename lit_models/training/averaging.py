"""Averaged weights: a copy of a network that follows its weights slowly."""

import copy
from typing import TypeVar

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

__all__ = ["averaged_copy", "follow"]

Network = TypeVar("Network", bound=nn.Module)


def averaged_copy(network: Network, decay: float | None) -> Network | None:
    """Return a copy without gradients; None without a decay.

    Raises:
        ValueError: if the decay is not in (0, 1).
    """
    if decay is None:
        return None
    if not 0 < decay < 1:
        raise ValueError(f"ema_decay must be between 0 and 1 or null, got {decay}")
    return copy.deepcopy(network).requires_grad_(False)


@torch.no_grad()
def follow(averaged: nn.Module, live: nn.Module, decay: float) -> None:
    """Move averaged parameters towards the live ones (Polyak and Juditsky, 1992); copy buffers."""
    update = get_ema_multi_avg_fn(decay)
    update(list(averaged.parameters()), list(live.parameters()), None)
    for mine, theirs in zip(averaged.buffers(), live.buffers(), strict=True):
        mine.copy_(theirs)
