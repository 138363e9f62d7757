"""Sums and means over all processes; the identity on one. Torch only."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = [
    "any_process",
    "gathered",
    "global_mean",
    "global_std",
    "group_device",
    "mean_over_processes",
    "world",
]


def world() -> tuple[int, int]:
    """Return (rank, number of processes); (0, 1) outside a process group."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def mean_over_processes(x: Tensor) -> Tensor:
    """Return the mean over processes, without a gradient; every process must call this."""
    count = world()[1]
    if count == 1:
        return x.detach()
    x = x.detach().clone()
    dist.all_reduce(x)
    return x / count


class _Sum(torch.autograd.Function):
    """Sum over processes, differentiable any number of times: its gradient is a sum again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return _Sum.apply(grad)


def global_mean(x: Tensor) -> Tensor:
    """Return the mean of all numbers of the joined batch, differentiable any number of times.

    Processes hold parts of equal size; every process must call this.
    """
    count = world()[1]
    if count == 1:
        return x.mean()
    total: Tensor = _Sum.apply(x.mean())
    return total / count


def gathered(row: Tensor) -> Tensor:
    """Return the rows (N,) of all processes as (world, N), differentiable any number of times.

    One exchange forward and one per backward pass; every process must call this.
    """
    rank, count = world()
    if count == 1:
        return row[None]
    table = torch.nn.functional.pad(row[None], (0, 0, rank, count - 1 - rank))
    total: Tensor = _Sum.apply(table)
    return total


def group_device() -> torch.device:
    """Return where tensors must lie that all processes exchange."""
    on_gpus = world()[1] > 1 and dist.get_backend() == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if on_gpus else torch.device("cpu")


def any_process(flag: bool, device: torch.device) -> bool:
    """Return whether the flag is set on some process; every process must call this."""
    return bool(mean_over_processes(torch.tensor(float(flag), device=device)) > 0)


@torch.no_grad()
def global_std(x: Tensor) -> Tensor:
    """Return the standard deviation of all numbers of the joined batch, a scalar.

    The population's (divided by n, as numpy does); processes hold parts of equal size.
    """
    mean = mean_over_processes(x.mean())
    return mean_over_processes((x - mean).square().mean()).sqrt()
