"""A generator against one discriminator: what every GAN shares, whatever its objectives."""

from collections.abc import Iterator
from functools import partial

from torch import Tensor, nn

from lit_models.adversarial.engine import AdversarialModel, Objective, Player
from lit_models.base import OptimizerFactory
from lit_models.images import DataRange
from lit_models.priors import Prior
from lit_models.training.averaging import averaged_copy, follow
from lit_models.training.schedules import Schedule

__all__ = ["TwoPlayerModel"]


class TwoPlayerModel(AdversarialModel):
    """n_critic discriminator updates, each on its own images and noise, then one generator update.

    Goodfellow et al., 2014, https://arxiv.org/abs/1406.2661, Algorithm 1. A subclass gives the two
    objectives. One training step takes n_critic x batch_size images.

    Args:
        generator: Maps codes to samples (B, ...) in the data range.
        discriminator: Takes samples (B, ...).
        prior: Draws codes.
        optimizer_g: Builds the generator's optimizer.
        optimizer_d: Builds the discriminator's optimizer.
        batch_size: Images per discriminator update, over all processes.
        n_critic: Discriminator updates per generator update.
        data_range: The range of the generator's samples.
        weight_clip: WGAN's clipping of every discriminator parameter, after each of its steps.
        reuse_noise: Let the generator's update use the codes of the last discriminator update, as
            Lucic et al.'s code does, instead of fresh ones.
        ema_decay: Decay of the generator's averaged weights; None for no average.
        schedule: Factor on both learning rates.
        clip_grad_norm: Largest gradient norm of either player.

    Raises:
        ValueError: if n_critic < 1 or ema_decay is not in (0, 1).
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        prior: Prior,
        optimizer_g: OptimizerFactory,
        optimizer_d: OptimizerFactory,
        batch_size: int,
        n_critic: int,
        data_range: DataRange,
        weight_clip: float | None = None,
        reuse_noise: bool = False,
        ema_decay: float | None = None,
        schedule: Schedule | None = None,
        clip_grad_norm: float | None = None,
    ) -> None:
        super().__init__(batch_size, data_range, schedule, clip_grad_norm)
        if n_critic < 1:
            raise ValueError(f"n_critic must be >= 1, got {n_critic}")
        self.generator, self.discriminator, self.prior = generator, discriminator, prior
        self.n_critic, self.reuse_noise = n_critic, reuse_noise
        self._players_by_name = {
            "discriminator": Player(discriminator, optimizer_d, weight_clip),
            "generator": Player(generator, optimizer_g),
        }
        self.ema_decay = ema_decay
        self.ema_generator = averaged_copy(generator, ema_decay)

    def discriminator_objective(self, real: Tensor, z: Tensor) -> Tensor:
        """Return what the discriminator minimises on real (B, ...) and the fakes of z."""
        raise NotImplementedError

    def generator_objective(self, z: Tensor) -> Tensor:
        """Return what the generator minimises on the samples of z."""
        raise NotImplementedError

    def after_updates(self, real: Tensor, z: Tensor) -> None:
        """Update what follows a discriminator step, and the generator's where it is due.

        As BEGAN's k. The arguments are those of the discriminator's step.
        """

    @property
    def batches_per_step(self) -> int:
        return self.n_critic

    @property
    def available_weights(self) -> tuple[str, ...]:
        return ("raw",) if self.ema_generator is None else ("raw", "ema")

    def sampling_state(self) -> dict[str, Tensor]:
        needed = ("generator.", "ema_generator.")
        return {k: v for k, v in self.state_dict().items() if k.startswith(needed)}

    def players(self) -> dict[str, Player]:
        return self._players_by_name

    def updates(self, x: Tensor, labels: Tensor) -> Iterator[tuple[str, Objective]]:
        for i, real in enumerate(x.chunk(self.n_critic), start=1):
            z = self.prior(self.noise, len(real))
            yield "discriminator", partial(self.discriminator_objective, real, z)
            if i < self.n_critic:
                self.after_updates(real, z)
        codes = z if self.reuse_noise else self.prior(self.noise, len(real))
        yield "generator", partial(self.generator_objective, codes)
        self.after_updates(real, z)
        if self.ema_generator is not None:
            follow(self.ema_generator, self.generator, self.ema_decay)

    def decode(self, z: Tensor) -> Tensor:
        return (self.ema_generator if self.weights == "ema" else self.generator)(z)
