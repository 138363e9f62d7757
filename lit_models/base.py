"""What every generative model of the suite can be asked, and the clock they share."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from lightning import LightningModule
from torch import Tensor
from torch.optim import Optimizer

from lit_models.images import DataRange
from lit_models.priors import Prior
from lit_models.training.collectives import mean_over_processes
from lit_models.training.lightning_internals import DROPOUT
from lit_models.training.noise import Noise, StepNoise, fold_seed
from lit_models.training.schedules import Schedule

__all__ = ["LitGenerativeModel", "OptimizerFactory"]

MOST_COLUMNS = 16  # of a picture
OptimizerFactory = Any  # Callable[[Iterable[nn.Parameter]], Optimizer], given as a hydra partial


class LitGenerativeModel(LightningModule):
    """Base of all models: images_seen as the clock, noise as a function of it, sampling.

    A subclass implements `train_step`, and `sample`, or `prior` and `decode` where it has latent
    codes; where a likelihood exists, also `log_likelihood` and `likelihood_kind`.

    Args:
        batch_size: Images per update, over all processes.
        data_range: The range the model computes in.
        schedule: Factor on every learning rate; None for a constant rate.

    Attributes:
        images_seen: Real training images consumed so far, over all processes.
        scalars: The latest detached training quantities, read by the monitor every N updates.
    """

    likelihood_kind: ClassVar[str | None] = None  # "exact", "elbo", "iwae" or "ais"
    samples: ClassVar[bool] = True  # whether it draws any
    scores: ClassVar[str] = "the metrics of its samples, such as FID"
    prior: Prior | None = None  # of the latent codes, where there are any
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

    def train_step(self, x: Tensor, labels: Tensor) -> Tensor | None:
        """Do one training step on x in the model's range; return a loss to minimise, if any."""
        raise NotImplementedError

    def sample(
        self, num_samples: int, generator: torch.Generator, labels: Tensor | None = None
    ) -> Tensor:
        """Draw num_samples from the model, in its own range, with this generator alone.

        Here: decoded draws of the prior, for models that have one.
        """
        if self.prior is None:
            raise NotImplementedError
        return self.decode(self.prior(Noise(generator, self.device, self.dtype), num_samples))

    def decode(self, z: Tensor) -> Tensor:
        """Return the sample that belongs to codes z (B, dim); differentiable in z."""
        raise ValueError(f"{type(self).__name__} has no latent codes")

    def encode(self, x: Tensor) -> Tensor:
        """Return stored data in the model's own range, on its device."""
        return self.data_range.encode(x.to(self.device), self.dtype)

    def to_images(self, x: Tensor) -> Tensor:
        """Return samples as floats in [0, 255], unrounded."""
        return self.data_range.to_images(x)

    @property
    def dequantised(self) -> bool:
        """Whether its likelihood is a density of levels with uniform noise added."""
        return False

    @property
    def conditional(self) -> bool:
        """Whether samples and likelihoods are given a label."""
        return False

    @property
    def trained_by(self) -> str | None:
        """What was optimised, where the bound that scores it was not; else None."""
        return None

    def log_likelihood(
        self,
        x: Tensor,
        generator: torch.Generator | None = None,
        num_importance_samples: int = 1,
        labels: Tensor | None = None,
    ) -> Tensor:
        """Return log p(x), or a bound on it, in nats, shape (B,); x in the model's range."""
        raise ValueError(f"{type(self).__name__} has no likelihood")

    def represent(self, x: Tensor) -> Tensor:
        """Return representations (B, dim) of images in the model's range, for probes."""
        raise ValueError(f"{type(self).__name__} has no encoder (it has {self.scores})")

    def reconstruct(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return reconstructions of images in the model's range."""
        raise ValueError(f"{type(self).__name__} has no encoder (it has {self.scores})")

    def grids(
        self, x: Tensor, labels: Tensor, generator: torch.Generator
    ) -> dict[str, tuple[Tensor, int]]:
        """Return named pictures, each images in the model's range and the number of columns.

        Args:
            x: Test images (64, C, H, W) in the model's range.
            labels: Their labels.
            generator: Source of all draws.
        """
        if not self.samples:
            return {}
        classes = getattr(self, "num_classes", None) or 8
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
        seed = fold_seed(self.noise_seed, self.images_seen, 1 + self.global_rank)
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
