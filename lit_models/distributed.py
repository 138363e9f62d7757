"""Many processes: one replicated model, one all-reduce per optimizer step."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy
from torch import nn
from torch.optim import Optimizer

__all__ = ["ReplicatedStrategy", "any_process", "average_gradients", "world"]


def world() -> tuple[int, int]:
    """Return (rank, number of processes); (0, 1) outside a process group."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def any_process(flag: bool, device: torch.device) -> bool:
    """Return whether the flag is set on any process; every process must call this."""
    if world()[1] == 1:
        return flag
    total = torch.tensor(int(flag), device=device)
    dist.all_reduce(total)
    return bool(total.item())


def average_gradients(optimizer: Optimizer) -> tuple[bool, ...]:
    """Average the gradients of exactly this optimizer's parameters, in one flat all-reduce.

    Returns:
        For each parameter, whether it has a gradient on this process.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    gradients = [p.grad for p in parameters if p.grad is not None]
    if gradients:
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        pieces = flat.split([g.numel() for g in gradients])
        views = [piece.view_as(g) for piece, g in zip(pieces, gradients, strict=True)]
        torch._foreach_copy_(gradients, views)
    return tuple(p.grad is not None for p in parameters)


class ReplicatedStrategy(DDPStrategy):
    """Data parallelism without a wrapper, for any number of optimizers.

    Parameters and buffers are broadcast once; then each optimizer step averages exactly the
    gradients it uses, after the backward passes and before clipping. It serves manual and
    automatic optimization alike, and needs no `find_unused_parameters`.

    Raises:
        RuntimeError: if the processes do not hold gradients for the same parameters.
    """

    def configure_ddp(self) -> None:
        assert isinstance(self.model, nn.Module)
        with torch.no_grad():
            for tensor in [*self.model.parameters(), *self.model.buffers()]:
                dist.broadcast(tensor, src=0)
        self._agreed: set[tuple[int, tuple[bool, ...]]] = set()

    def optimizer_step(
        self, optimizer: Optimizer, closure: Callable[[], Any], model: Any = None, **kwargs: Any
    ) -> Any:
        def closure_then_average() -> Any:
            result = closure()
            self._check_agreement(optimizer)
            average_gradients(optimizer)
            return result

        return super().optimizer_step(optimizer, closure_then_average, model, **kwargs)

    def _check_agreement(self, optimizer: Optimizer) -> None:
        """Compare, once for each new set, which parameters have gradients."""
        held = tuple(
            p.grad is not None for group in optimizer.param_groups for p in group["params"]
        )
        key = (id(optimizer), held)
        if key in self._agreed:
            return
        everywhere: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(everywhere, held)
        if any(other != held for other in everywhere):
            raise RuntimeError("the processes hold gradients for different parameters")
        self._agreed.add(key)
