"""The adversarial engine: several players, updated in order within one training step."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_models.adversarial.player import Player
from lit_models.base import LitGenerativeModel
from lit_models.images import DataRange
from lit_models.training.averaging import averaged_copy, follow
from lit_models.training.lightning_internals import clamp_all_, count_training_step
from lit_models.training.schedules import Schedule

__all__ = ["AdversarialModel", "Objective"]

Objective = Callable[[], Tensor]  # computes the scalar that a player minimises


class AdversarialModel(LitGenerativeModel):
    """A model of several players. A subclass names them and yields their updates.

    A player's network is the attribute of its name, and its averaged weights that of
    `ema_<name>`. `updates(x, labels)` yields {player's name: objective} in order; for each player
    the engine freezes the others, computes the objective and runs backward; then all that were
    yielded together step, clamp and average: their gradients are taken at the same parameters.
    What follows a `yield` runs after that. One training step counts once in
    `trainer.global_step`, however many updates it has.

    Args:
        players: The players by name, in the order of their optimizers.
        batch_size: Number of images per update, over all processes.
        data_range: The range that the model computes in.
        schedule: A factor on every learning rate; None for constant rates.
        clip_grad_norm: The largest norm of a player's gradient; None for no clipping.

    Raises:
        ValueError: if clip_grad_norm is not positive, or a player is none.
    """

    def __init__(
        self,
        players: Mapping[str, Player],
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
        self.players = dict(players)
        for name, player in self.players.items():
            if not isinstance(player, Player):
                raise ValueError(f"{name} must be a Player, got {type(player).__name__}")
            setattr(self, name, player.network)
            setattr(self, f"ema_{name}", averaged_copy(player.network, player.ema_decay))

    @abstractmethod
    def updates(self, x: Tensor, labels: Tensor) -> Iterator[Mapping[str, Objective]]:
        """Yield {player's name: objective} for each update of one training step."""

    @property
    def available_weights(self) -> tuple[str, ...]:
        averaged = any(p.ema_decay is not None for p in self.players.values())
        return ("raw", "ema") if averaged else ("raw",)

    def chosen(self, name: str) -> nn.Module:
        """Return a player's network with the weights that sampling uses."""
        averaged = getattr(self, f"ema_{name}") if self.weights == "ema" else None
        network: nn.Module = getattr(self, name) if averaged is None else averaged
        return network

    def configure_optimizers(self) -> list[Optimizer]:
        return [p.optimizer(p.network.parameters()) for p in self.players.values()]

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
        optimizers = self.optimizers(use_pl_optimizer=False)
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        self._optimizers_by_name = dict(zip(self.players, optimizers, strict=True))
        # once: walking the modules in every step costs more than a small network's forward
        self._parameters_by_name = {
            name: list(player.network.parameters()) for name, player in self.players.items()
        }

    def train_step(self, x: Tensor, labels: Tensor) -> None:
        active = None
        for objectives in self.updates(x, labels):
            for name, objective in objectives.items():
                if name != active:
                    self._freeze_all_but({name})
                    active = name
                self._differentiate(name, objective)
            for name in objectives:
                self._move(name)
        self._freeze_all_but(set(self.players))
        count_training_step(self.trainer)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        if self.clip_grad_norm is not None:  # gradients are averaged by now
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, self.clip_grad_norm)

    def _differentiate(self, name: str, objective: Objective) -> None:
        loss = objective()
        for parameter in self._parameters_by_name[name]:
            parameter.grad = None
        with torch.autocast(self.device.type, enabled=False):  # a penalty's second derivative
            self._backward(loss)
        self.track(**{f"{name}_loss": loss})

    def _move(self, name: str) -> None:
        player = self.players[name]
        self._step(self._optimizers_by_name[name])
        if player.weight_clip is not None:
            clamp_all_(self._parameters_by_name[name], player.weight_clip)
        if player.ema_decay is not None:
            follow(getattr(self, f"ema_{name}"), player.network, player.ema_decay)

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
