"""A generator against one discriminator: what every GAN shares, whatever its objectives."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from lit_models.adversarial.engine import AdversarialModel, Objective
from lit_models.adversarial.player import Player
from lit_models.images import DataRange
from lit_models.labels import labels_in_turn, one_hot_map
from lit_models.priors import Prior
from lit_models.training.noise import Noise
from lit_models.training.schedules import Schedule

__all__ = ["TwoPlayerModel"]


class TwoPlayerModel(AdversarialModel):
    """n_critic discriminator updates, each on its own images and noise, then the generator's.

    Goodfellow et al., 2014, https://arxiv.org/abs/1406.2661, Algorithm 1. A subclass gives the two
    objectives. One training step takes n_critic x batch_size images. With labels (Mirza and
    Osindero, 2014, https://arxiv.org/abs/1411.1784, Eq. 2) both networks are given those of the
    real images as well, as zeros and a one, (B, num_classes).

    Args:
        generator: Maps codes to samples (B, ...) in the data range; with num_classes, (codes,
            labels).
        discriminator: Takes samples (B, ...); with num_classes, (samples, labels).
        prior: Draws codes.
        batch_size: Number of images per discriminator update, over all processes.
        n_critic: Number of discriminator updates per generator update.
        data_range: The range of the generator's samples.
        num_classes: Number of labels that both networks are given; None for none.
        reuse_noise: Whether the generator's updates use the codes of the last discriminator
            update, as Lucic et al.'s code does, instead of fresh ones.
        generator_updates: Number of generator updates per training step (2 in code for images
            that descends from Radford et al., 2016).
        simultaneous: Whether both gradients are taken at the same parameters, from the same
            generated samples, as Dumoulin et al. (2017), https://arxiv.org/abs/1606.00704,
            Algorithm 1, and the code of Lin et al. (2018) do, instead of in turn.
        schedule: A factor on both learning rates; None for constant rates.
        clip_grad_norm: The largest gradient norm of either player; None for no clipping.

    Raises:
        ValueError: if n_critic or generator_updates is below 1, or simultaneous updates are not
            one each, of the same codes.
    """

    generator: nn.Module
    discriminator: nn.Module

    def __init__(
        self,
        generator: Player,
        discriminator: Player,
        prior: Prior,
        batch_size: int,
        n_critic: int,
        data_range: DataRange,
        num_classes: int | None = None,
        reuse_noise: bool = False,
        generator_updates: int = 1,
        simultaneous: bool = False,
        schedule: Schedule | None = None,
        clip_grad_norm: float | None = None,
    ) -> None:
        players = {"discriminator": discriminator, "generator": generator}
        super().__init__(players, batch_size, data_range, schedule, clip_grad_norm)
        if n_critic < 1:
            raise ValueError(f"n_critic must be >= 1, got {n_critic}")
        if generator_updates < 1:
            raise ValueError(f"generator_updates must be >= 1, got {generator_updates}")
        if simultaneous and not (n_critic == generator_updates == 1 and reuse_noise):
            raise ValueError(
                "n_critic and generator_updates must be 1 and reuse_noise true with simultaneous, "
                f"got {n_critic}, {generator_updates} and {str(reuse_noise).lower()}"
            )
        self.prior, self.n_critic = prior, n_critic
        self.generator_updates, self.simultaneous = generator_updates, simultaneous
        self.num_classes, self.reuse_noise = num_classes, reuse_noise

    @abstractmethod
    def discriminator_objective(self, real: Tensor, fake: Tensor, labels: Tensor | None) -> Tensor:
        """Return what the discriminator minimises.

        Args:
            real: Real samples (B, ...).
            fake: Generated samples (B, ...), without a gradient.
            labels: Labels (B, num_classes) of both; None for an unconditional model.
        """

    @abstractmethod
    def generator_objective(self, real: Tensor, fake: Tensor, labels: Tensor | None) -> Tensor:
        """Return what the generator minimises, by the gradient of fake.

        The arguments are those of the discriminator's.
        """

    def after_updates(self, real: Tensor, z: Tensor) -> None:
        """Update what follows a discriminator step, and the generator's where it is due.

        As BEGAN's k.

        Args:
            real: Real samples (B, ...) of the discriminator's step.
            z: Codes (B, dim) of its generated ones.
        """

    @property
    def available_weights(self) -> tuple[str, ...]:
        averaged = self.players["generator"].ema_decay is not None  # by which it samples
        return ("raw", "ema") if averaged else ("raw",)

    @property
    def batches_per_step(self) -> int:
        return self.n_critic

    def sampling_state(self) -> dict[str, Tensor]:
        needed = ("generator.", "ema_generator.")
        return {k: v for k, v in self.state_dict().items() if k.startswith(needed)}

    def updates(self, x: Tensor, labels: Tensor) -> Iterator[Mapping[str, Objective]]:
        if self.simultaneous:
            yield from self._together(x, self._given(labels))
            return
        slices = zip(x.chunk(self.n_critic), labels.chunk(self.n_critic), strict=True)
        for i, (real, own) in enumerate(slices, start=1):
            z, given = self.prior(self.noise, len(real)), self._given(own)
            yield {"discriminator": partial(self._discriminator_loss, real, z, given)}
            if i < self.n_critic:
                self.after_updates(real, z)
        for _ in range(self.generator_updates):
            codes = z if self.reuse_noise else self.prior(self.noise, len(real))
            yield {"generator": partial(self._generator_loss, real, codes, given)}
        self.after_updates(real, z)

    def _together(self, real: Tensor, given: Tensor | None) -> Iterator[Mapping[str, Objective]]:
        z = self.prior(self.noise, len(real))
        fake = self._with_labels(self.generator, z, given)  # once: BatchNorm follows each call
        yield {
            "discriminator": partial(self.discriminator_objective, real, fake.detach(), given),
            "generator": partial(self.generator_objective, real, fake, given),
        }
        self.after_updates(real, z)

    def _discriminator_loss(self, real: Tensor, z: Tensor, labels: Tensor | None) -> Tensor:
        with torch.no_grad():
            fake = self._with_labels(self.generator, z, labels)
        return self.discriminator_objective(real, fake, labels)

    def _generator_loss(self, real: Tensor, z: Tensor, labels: Tensor | None) -> Tensor:
        return self.generator_objective(real, self._with_labels(self.generator, z, labels), labels)

    def sample(
        self,
        num_samples: int,
        generator: torch.Generator | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        labels = labels_in_turn(labels, num_samples, self.num_classes, self.device)
        return self.decode(
            self.prior(Noise(generator, self.device, self.dtype), num_samples), labels
        )

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the samples of codes z (B, dim); those of class 0 where no labels are given."""
        if labels is None and self.conditional:
            labels = torch.zeros(len(z), dtype=torch.long, device=z.device)
        return self._with_labels(self.chosen("generator"), z, self._given(labels))

    def _given(self, labels: Tensor | None) -> Tensor | None:
        """Return labels (B,) as the networks of a conditional model take them."""
        if self.num_classes is None:
            return None
        return one_hot_map(labels, self.num_classes, self.dtype)[..., 0, 0]

    @staticmethod
    def _with_labels(network: nn.Module, x: Tensor, labels: Tensor | None) -> Tensor:
        result: Tensor = network(x) if labels is None else network(x, labels)
        return result
