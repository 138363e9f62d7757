"""Every private name of Lightning or torch that the suite touches, and why.

None of these is promised to stay. A new version of either library is tried here first, which is
why `pyproject.toml` bounds Lightning from above.
"""

from typing import Any, ClassVar

import torch
import torch.distributed as dist
from lightning import Trainer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from torch import nn

__all__ = [
    "BATCH_NORM",
    "DROPOUT",
    "LaunchedStrategy",
    "ScriptLauncher",
    "checkpoint_content",
    "clamp_all_",
    "copy_all_",
    "count_training_step",
    "default_store",
    "divide_all_",
    "leave_signals_alone",
    "spare_signal_exchange",
]

BATCH_NORM = nn.modules.batchnorm._BatchNorm  # what all kinds of BatchNorm have in common
DROPOUT = nn.modules.dropout._DropoutNd  # what all kinds of dropout have in common

# one kernel for many tensors; torch's optimizers are made of these
copy_all_ = torch._foreach_copy_
divide_all_ = torch._foreach_div_


class ScriptLauncher(_SubprocessScriptLauncher):
    """Lightning's launcher of this machine's other processes, for an own way to launch."""

    def start_others(self) -> None:
        """Start this program once for each of the others, which stand in `procs` then."""
        self._call_children_scripts()


class LaunchedStrategy(DDPStrategy):
    """Lightning's DDP with a launcher of a subclass's choice.

    Attributes:
        launcher_class: The kind of launcher.
    """

    launcher_class: ClassVar[type[ScriptLauncher]]

    def _configure_launcher(self) -> None:
        assert self.cluster_environment is not None
        self._launcher = self.launcher_class(
            self.cluster_environment, self.num_processes, self.num_nodes
        )


@torch.no_grad()
def clamp_all_(tensors: list[Any], limit: float) -> None:
    """Clamp all tensors to [-limit, limit], in place."""
    torch._foreach_clamp_min_(tensors, -limit)
    torch._foreach_clamp_max_(tensors, limit)


def leave_signals_alone(trainer: Trainer) -> None:
    """Keep Lightning from taking over signals; its handlers save wherever they find it."""
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]


def checkpoint_content(trainer: Trainer) -> dict[str, Any]:
    """Return what a checkpoint holds, without `save_checkpoint`'s barrier.

    There the other processes would wait while the one that writes may fail.
    """
    return trainer._checkpoint_connector.dump_checkpoint(weights_only=False)


def count_training_step(trainer: Trainer) -> None:
    """Let `global_step` count one training step, however many optimizers have stepped."""
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    progress.increment_ready()
    progress.increment_completed()


def spare_signal_exchange(trainer: Trainer) -> None:
    """Keep Lightning from asking all processes for a signal in every batch.

    It waits for the device to do so; `Checkpoints` asks twice a second.
    """
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]


def default_store() -> Any:
    """Return the key-value store by which the processes of the default group have met."""
    return dist.distributed_c10d._get_default_store()
