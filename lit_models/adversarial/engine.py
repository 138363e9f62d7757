"""The adversarial engine: several players, updated in order within one training step."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_models.base import LitGenerativeModel, OptimizerFactory
from lit_models.images import DataRange
from lit_models.training.lightning_internals import clamp_all_, count_training_step
from lit_models.training.schedules import Schedule

__all__ = ["AdversarialModel", "Objective", "Player"]

Objective = Callable[[], Tensor]


@dataclass(frozen=True)
class Player:
    """The networks one optimizer owns.

    Attributes:
        network: Every parameter in it belongs to this player.
        optimizer: Builds the optimizer from the parameters.
        weight_clip: After each step, clamp every parameter to [-weight_clip, weight_clip].
    """

    network: nn.Module
    optimizer: OptimizerFactory
    weight_clip: float | None = None

    def __post_init__(self) -> None:
        if self.weight_clip is not None and self.weight_clip <= 0:
            raise ValueError(f"weight_clip must be > 0 or null, got {self.weight_clip}")


class AdversarialModel(LitGenerativeModel):
    """A model of several players. A subclass names them and yields their updates.

    `players()` maps names to players, in the order of their optimizers. `updates(x, labels)`
    yields (player's name, objective) in order; the engine then freezes the other players, computes
    the objective, runs backward, and steps. What follows a `yield` runs after that step. One
    training step counts once in `trainer.global_step`, however many updates it has.

    Args:
        batch_size: Images per update, over all processes.
        data_range: The range the model computes in.
        schedule: Factor on every learning rate.
        clip_grad_norm: Largest norm of a player's gradient, None for no clipping.

    Raises:
        ValueError: if clip_grad_norm is not positive.
    """

    def __init__(
        self,
        batch_size: int,
        data_range: DataRange,
        schedule: Schedule | None = None,
        clip_grad_norm: float | None = None,
    ) -> None:
        super().__init__(batch_size, data_range, schedule)
        if clip_grad_norm is not None and clip_grad_norm <= 0:
            raise ValueError(f"clip_grad_norm must be > 0 or null, got {clip_grad_norm}")
        self.automatic_optimization = False
        self.clip_grad_norm = clip_grad_norm

    def players(self) -> Mapping[str, Player]:
        """Return the players by name."""
        raise NotImplementedError

    def updates(self, x: Tensor, labels: Tensor) -> Iterator[tuple[str, Objective]]:
        """Yield (player's name, objective) for each update of one training step."""
        raise NotImplementedError

    def configure_optimizers(self) -> list[Optimizer]:
        return [p.optimizer(p.network.parameters()) for p in self.players().values()]

    def on_fit_start(self) -> None:
        super().on_fit_start()
        scaled = self.trainer.precision == "16-mixed"
        # Lightning's hooks around backward and step cost a small network a tenth of its time
        alone = isinstance(self.trainer.strategy, SingleDeviceStrategy) and not scaled
        self._backward = self.manual_backward if scaled else Tensor.backward
        self._step = self._step_alone if alone else self._step_by_strategy
        if self.clip_grad_norm is not None and scaled:
            raise ValueError(
                "clip_grad_norm must be null with precision 16-mixed (its gradients are scaled), "
                f"got {self.clip_grad_norm}"
            )
        self._players = dict(self.players())
        optimizers = self.optimizers(use_pl_optimizer=False)
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        self._optimizers_by_name = dict(zip(self._players, optimizers, strict=True))
        # once: walking the modules in every step costs more than a small network's forward
        self._parameters_by_name = {
            n: list(p.network.parameters()) for n, p in self._players.items()
        }

    def train_step(self, x: Tensor, labels: Tensor) -> None:
        active = None
        for name, objective in self.updates(x, labels):
            if name != active:
                self._freeze_all_but({name})
                active = name
            self._update(name, objective)
        self._freeze_all_but(set(self._players))
        count_training_step(self.trainer)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        if self.clip_grad_norm is not None:  # gradients are averaged by now
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, self.clip_grad_norm)

    def _update(self, name: str, objective: Objective) -> None:
        optimizer = self._optimizers_by_name[name]
        loss = objective()
        for parameter in self._parameters_by_name[name]:
            parameter.grad = None
        with torch.autocast(self.device.type, enabled=False):  # a penalty's second derivative
            self._backward(loss)
        self._step(optimizer)
        limit = self._players[name].weight_clip
        if limit is not None:
            clamp_all_(self._parameters_by_name[name], limit)
        self.track(**{f"{name}_loss": loss})

    def _step_alone(self, optimizer: Optimizer) -> None:
        self.on_before_optimizer_step(optimizer)
        optimizer.step()

    def _step_by_strategy(self, optimizer: Optimizer) -> None:
        # not Lightning's wrapper, whose every step would count in global_step
        self.trainer.strategy.optimizer_step(optimizer, closure=_nothing, model=self)

    def _freeze_all_but(self, names: set[str]) -> None:
        for name, parameters in self._parameters_by_name.items():
            for parameter in parameters:
                parameter.requires_grad = name in names


def _nothing() -> Any:
    return None
