"""What every generative model of the suite is: a module that trains by a clock of images."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from torch.optim import Optimizer

from lit_models.capabilities import Samples, has
from lit_models.images import DataRange
from lit_models.training.collectives import mean_over_processes
from lit_models.training.lightning_internals import DROPOUT
from lit_models.training.noise import StepNoise
from lit_models.training.schedules import Schedule
from lit_models.training.seeds import dropout_seed

__all__ = ["LitGenerativeModel", "OptimizerFactory"]

MOST_COLUMNS = 16  # of a picture
OptimizerFactory = Any  # Callable[[Iterable[nn.Parameter]], Optimizer], given as a hydra partial


class LitGenerativeModel(LightningModule, ABC):
    """Base of all models: it trains, tells the time by images_seen, and converts data.

    A subclass implements `train_step` and `configure_optimizers`. What else it can be asked is a
    capability (`lit_models.capabilities`), which it implements or not.

    Args:
        batch_size: Number of images per update, over all processes.
        data_range: The range that the model computes in.
        schedule: A factor on every learning rate; None for constant rates.

    Attributes:
        image_shape: The shape (C, H, W) of its images, where it depends on them; else None.
        num_classes: The number of labels that it is conditional on; None for none.
        images_seen: Real training images consumed so far, over all processes.
        scalars: The latest detached training quantities, read by the monitor every N updates.

    Raises:
        ValueError: if batch_size < 1.
    """

    image_shape: tuple[int, ...] | None = None
    num_classes: int | None = None
    channels_last: bool = False
    noise: StepNoise

    def __init__(
        self, batch_size: int, data_range: DataRange, schedule: Schedule | None = None
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be >= 1, got {batch_size}")
        self.batch_size, self.data_range, self.schedule = batch_size, data_range, schedule
        self._weights = "raw"
        self.images_seen = 0
        self.noise_seed = 0
        self.scalars: dict[str, Tensor] = {}

    @property
    def batches_per_step(self) -> int:
        """Batches of `batch_size` images that one training step consumes."""
        return 1

    @property
    def images_per_step(self) -> int:
        """Real images that one training step consumes, over all processes."""
        return self.batches_per_step * self.batch_size

    @property
    def weights(self) -> str:
        """What `sample` uses: "raw", or "ema" where the model averages its weights."""
        return self._weights

    @weights.setter
    def weights(self, value: str) -> None:
        if value not in self.available_weights:
            allowed = " or ".join(self.available_weights)
            raise ValueError(f"weights must be {allowed} for this model, got {value}")
        self._weights = value

    @property
    def available_weights(self) -> tuple[str, ...]:
        """The weights this model can sample with."""
        return ("raw",)

    @abstractmethod
    def train_step(self, x: Tensor, labels: Tensor) -> Tensor | None:
        """Do one training step on x in the model's range; return a loss to minimise, if any."""

    def encode(self, x: Tensor) -> Tensor:
        """Return stored data in the model's own range, on its device."""
        return self.data_range.encode(x.to(self.device), self.dtype)

    def to_images(self, x: Tensor) -> Tensor:
        """Return samples as floats in [0, 255], unrounded."""
        return self.data_range.to_images(x)

    @property
    def conditional(self) -> bool:
        """Whether samples and likelihoods are given a label."""
        return self.num_classes is not None

    def grids(
        self, x: Tensor, labels: Tensor, generator: torch.Generator
    ) -> dict[str, tuple[Tensor, int]]:
        """Return named pictures, each images in the model's range and the number of columns.

        Args:
            x: Test images (64, C, H, W) in the model's range.
            labels: The labels of the images.
            generator: Source of all draws.
        """
        if not has(self, Samples):
            return {}
        classes = self.num_classes or 8
        columns = classes if classes <= MOST_COLUMNS else 8  # a class per column
        return {"samples": (self.sample(64 // columns * columns, generator), columns)}

    # -- training: the clock and what hangs on it ---------------------------------------------

    def on_after_batch_transfer(
        self, batch: tuple[Tensor, Tensor], dataloader_idx: int
    ) -> tuple[Tensor, Tensor]:
        x, labels = batch
        x = self.data_range.encode(x, self.dtype)
        if self.channels_last and x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        return x, labels

    def speed_up(self, channels_last: bool, compile: bool) -> None:
        """Choose memory format and compilation of the networks; neither renames a parameter."""
        self.channels_last = channels_last
        if channels_last:
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if compile:
            for network in self.children():
                network.compile()

    @property
    def draws_dropout(self) -> bool:
        """Whether training draws from the library's generators, which processes do not share."""
        return any(isinstance(m, DROPOUT) for m in self.modules())

    def sampling_state(self) -> dict[str, Tensor]:
        """Return the part of the state that sampling and likelihoods need."""
        return self.state_dict()

    def begin_from(self, x: Tensor) -> None:
        """Set what begins at a value of the training data, raw x (N, ...); most models nothing.

        Called once for a built model, before any checkpoint is loaded.
        """

    def on_fit_start(self) -> None:
        clock = torch.tensor(float(self.images_seen), dtype=torch.float64, device=self.device)
        if mean_over_processes(clock).item() != self.images_seen:
            raise RuntimeError("the processes continue from different checkpoints")
        self.noise = StepNoise(
            self.noise_seed, self.device, self.dtype, self.global_rank, self.trainer.world_size
        )
        self._seeds_library = self.draws_dropout

    def on_train_batch_start(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.noise.start(self.images_seen)
        if self._seeds_library:
            self._seed_library()
        if self.schedule is not None:
            self._set_learning_rates(self.schedule(self.images_seen))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor | None:
        loss = self.train_step(*batch)
        self.images_seen += self.images_per_step
        return loss

    def track(self, **scalars: Tensor) -> None:
        """Keep training quantities for the monitor, without a device synchronisation."""
        self.scalars.update({f"train/{name}": value.detach() for name, value in scalars.items()})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["images_seen"] = self.images_seen

    def on_load_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        self.images_seen = checkpoint["images_seen"]

    def _seed_library(self) -> None:
        """Dropout draws from the library's generators: a function of (seed, images_seen, rank)."""
        seed = dropout_seed(self.noise_seed, self.images_seen, self.global_rank)
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _set_learning_rates(self, factor: float) -> None:
        for optimizer in _as_list(self.optimizers(use_pl_optimizer=False)):
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])
                group["lr"] = group["initial_lr"] * factor


def _as_list(optimizers: Optimizer | Iterable[Optimizer]) -> list[Optimizer]:
    return [optimizers] if isinstance(optimizers, Optimizer) else list(optimizers)
