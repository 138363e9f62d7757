"""Many processes: one replicated model, gradients averaged before each optimizer step."""

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_models.training.lightning_internals import (
    LaunchedStrategy,
    ScriptLauncher,
    copy_all_,
    divide_all_,
    spare_signal_exchange,
)

__all__ = ["ReplicatedStrategy", "average_gradients"]

CHECKED_EVERY = 50
LARGE = 2**18  # numbers; copying fewer is quicker than an exchange of their own


def average_gradients(optimizer: Optimizer) -> Tensor:
    """Average the gradients of exactly this optimizer's parameters.

    Large ones are exchanged where they lie, all others as one flat tensor. Which parameters hold
    a gradient travels along, so that processes that differ neither hang nor drift unseen.

    Returns:
        A boolean scalar: whether some parameter has a gradient on some processes only.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    held = tuple(p.grad is not None for p in parameters)
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    small = [g for g in gradients if g.numel() < LARGE]
    large = [g for g in gradients if g.numel() >= LARGE]
    dense = [g.contiguous() for g in large]  # the gradients themselves, almost always
    sums = [dist.all_reduce(g, async_op=True) for g in dense]
    counts = _indicator(held, gradients[0].dtype, gradients[0].device)
    flat = torch.cat([*(g.reshape(-1) for g in small), counts])
    dist.all_reduce(flat)
    for each in sums:
        each.wait()
    divide_all_([flat, *dense], dist.get_world_size())
    pieces = flat.split([*(g.numel() for g in small), len(held)])
    views = [piece.view_as(g) for piece, g in zip(pieces, small, strict=False)]
    if small:
        copy_all_(small, views)
    for gradient, mean in zip(large, dense, strict=True):
        if gradient is not mean:
            gradient.copy_(mean)
    return ((pieces[-1] != 0) & (pieces[-1] != 1)).any()


@lru_cache(maxsize=64)
def _indicator(held: tuple[bool, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return zeros and ones; kept, since a copy to the device would wait for it in every step."""
    return torch.tensor(held, dtype=dtype, device=device)


class ProcessLauncher(ScriptLauncher):
    """Starts the other processes of this machine.

    One that ends before it has met the others is named, and ends the job; Lightning's own launcher
    kills all processes silently, also those that are just saving.
    """

    def launch(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.cluster_environment.validate_settings(
            num_devices=self.num_processes, num_nodes=self.num_nodes
        )
        if not self.cluster_environment.creates_processes_externally:
            self.start_others()
            threading.Thread(target=self._observe, daemon=True).start()
        kwargs.pop("trainer", None)
        return function(*args, **kwargs)

    def _observe(self) -> None:
        while not dist.is_initialized():
            for i, process in enumerate(self.procs):
                if process.poll():
                    code = f"rank {i + 1} ended with code {process.returncode}"
                    print(
                        f"dgmbench: {code} before it met the others", file=sys.stderr, flush=True
                    )
                    self.kill(signal.SIGKILL)
                    os._exit(1)
            time.sleep(0.5)


def _end_process_group() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


class ReplicatedStrategy(LaunchedStrategy):
    """Data parallelism without a wrapper, for any number of optimizers.

    Parameters and buffers are broadcast once; then each optimizer step averages exactly the
    gradients it uses, after the backward passes and before clipping. It serves manual and
    automatic optimization alike, and needs no `find_unused_parameters`.

    Raises:
        RuntimeError: if the processes do not hold gradients for the same parameters. On a CPU it
            is found at once; on a GPU every 50 steps, to spare a synchronisation.
    """

    launcher_class = ProcessLauncher

    def setup_environment(self) -> None:
        super().setup_environment()
        # Lightning does so for NCCL only; gloo's threads, if they outlive the interpreter, abort
        atexit.register(_end_process_group)

    def configure_ddp(self) -> None:
        assert isinstance(self.model, nn.Module)
        with torch.no_grad():
            for tensor in [*self.model.parameters(), *self.model.buffers()]:
                dist.broadcast(tensor, src=0)
        self._steps = 0
        if self.root_device.type == "cuda":
            spare_signal_exchange(self.model.trainer)

    def optimizer_step(
        self, optimizer: Optimizer, closure: Callable[[], Any], model: Any = None, **kwargs: Any
    ) -> Any:
        def closure_then_average() -> Any:
            result = closure()
            differs = average_gradients(optimizer)
            if (differs.device.type == "cpu" or self._steps % CHECKED_EVERY == 0) and differs:
                raise RuntimeError("the processes hold gradients for different parameters")
            self._steps += 1
            return result

        return super().optimizer_step(optimizer, closure_then_average, model, **kwargs)
