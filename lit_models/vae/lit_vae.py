"""The variational autoencoder: one or several stochastic layers, any likelihood and objective."""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_models.base import LitGenerativeModel, OptimizerFactory
from lit_models.images import DataRange, LevelRange
from lit_models.labels import labels_in_turn
from lit_models.likelihoods.observations import Likelihood
from lit_models.priors import NormalPrior
from lit_models.training.noise import Noise
from lit_models.training.schedules import Schedule
from lit_models.vae.inference import LayeredInference, StochasticLayer
from lit_models.vae.objectives import Draws, ElboObjective, VariationalObjective
from lit_models.vae.pictures import vae_grids
from lit_models.vae.posteriors import InverseAutoregressiveFlow

__all__ = ["VAE"]

# What a bound decodes at once; its memory grows neither with the samples nor with the images.
ROWS = 5000
PARAMETERS = 2**24  # of the likelihood
MEANS = (0.001, 0.999)  # of pixels, where a bias is taken from them


class VAE(LayeredInference, LitGenerativeModel):
    r"""A latent-variable model p(x | z) p(z) with an amortised posterior q(z | x).

    Kingma and Welling, 2014, https://arxiv.org/abs/1312.6114; with several layers q(z_1 | x)
    q(z_2 | z_1) ... against p(x | z_1) p(z_1 | z_2) ..., the top one standard normal (Burda et
    al., 2016, https://arxiv.org/abs/1509.00519); with labels p(x | y) (Sohn et al., 2015).

    Args:
        encoder: Maps x (B, C, H, W) to (B, 2 dim + F), mean, raw deviation, and what a flow takes;
            with num_classes, (x, labels as (B, num_classes)).
        decoder: Maps z (B, dim) to the likelihood's parameters; with num_classes, (z, labels).
        likelihood: The observation model.
        prior: The standard normal prior over the top layer's codes.
        kl_weight: Weight of the KL term of a one-sample ELBO: `ElboObjective(kl_weight)`; None
            where an objective is given.
        min_sigma: Added to the deviations.
        deviation: Makes the raw deviations of all layers positive; None for a softplus.
        bias_from_data: Whether the decoder's last bias begins at the mean logit of each training
            pixel, as in Burda et al.'s code, for binary images; None for no.
        optimizer: Builds the optimizer.
        batch_size: Images per update, over all processes.
        data_range: The range of x.
        schedule: Factor on the learning rate.
        objective: What training minimises; None for that of kl_weight.
        layers: Further stochastic layers, from the data upwards; None for none.
        flow: Makes the lowest layer's posterior more flexible; None for a diagonal normal.
        num_classes: Labels that encoder and decoder take; None for none.

    Raises:
        ValueError: unless exactly one of kl_weight and objective is given, or if the likelihood is
            of data in another range.
    """

    likelihood_kind: ClassVar[str] = "elbo"
    prior: NormalPrior

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        prior: NormalPrior,
        kl_weight: float | None,
        min_sigma: float,
        optimizer: OptimizerFactory,
        batch_size: int,
        data_range: DataRange,
        schedule: Schedule | None = None,
        objective: VariationalObjective | None = None,
        layers: Sequence[StochasticLayer] | None = None,
        flow: InverseAutoregressiveFlow | None = None,
        num_classes: int | None = None,
        deviation: nn.Module | None = None,
        bias_from_data: bool | None = None,
    ) -> None:
        super().__init__(batch_size, data_range, schedule)
        if (kl_weight is None) == (objective is None):
            raise ValueError(
                "exactly one of kl_weight and objective must be given, got "
                f"{kl_weight} and {type(objective).__name__ if objective else None}"
            )
        if objective is None:
            assert kl_weight is not None
            objective = ElboObjective(kl_weight)
        self.objective = objective
        if flow is not None and not self.objective.reparameterised:
            raise ValueError(
                f"flow must be null with {type(self.objective).__name__}, whose gradient needs "
                "log q of given codes"
            )
        likelihood.check_range(data_range)
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood
        self.layers, self.flow = nn.ModuleList(layers or ()), flow
        self.prior, self.min_sigma, self.num_classes = prior, min_sigma, num_classes
        self.deviation, self.bias_from_data = deviation, bias_from_data
        self.optimizer_factory = optimizer

    @property
    def trained_by(self) -> str | None:
        return self.objective.label

    @property
    def dequantised(self) -> bool:
        """Whether its likelihood is a density of dequantised data."""
        return self.likelihood.dequantised

    @torch.no_grad()
    def begin_from(self, x: Tensor) -> None:
        if not self.bias_from_data:
            return
        last = [m for m in self.decoder.modules() if isinstance(m, nn.Linear)][-1:]
        level = x.mean(0, dtype=torch.float64)
        mean = self.data_range.to_images(self.data_range.encode(level, level.dtype)) / 255
        if not last or last[0].bias.numel() != mean.numel():
            raise ValueError(
                "bias_from_data must be null unless the decoder ends in a linear layer of one "
                f"number per pixel, got {type(self.decoder).__name__}"
            )
        last[0].bias.copy_(mean.clamp(*MEANS).logit().flatten())

    def configure_optimizers(self) -> Optimizer:
        return self.optimizer_factory(self.parameters())

    def train_step(self, x: Tensor, labels: Tensor) -> Tensor:
        draws = self.draw(x, self.noise, self.objective.num_samples, labels)
        loss = self.objective.loss(draws, self.images_seen)
        kl = torch.stack([kls.sum(-1).mean() for kls in draws.kls]).sum()
        self.track(reconstruction_nats=-draws.log_likelihood.mean(), kl_nats=kl, loss=loss)
        return loss

    def draw(
        self, x: Tensor, noise: Noise, num_samples: int, labels: Tensor | None = None
    ) -> Draws:
        """Draw num_samples codes of each image x (B, C, H, W) from the posterior."""
        observed = self.observe(x, noise)
        return self._draw(observed, self._features(x, labels), noise, num_samples, labels)

    def observe(self, x: Tensor, noise: Noise) -> Tensor:
        """Return what the likelihood is of: x, dequantised where it is a density."""
        if not self.likelihood.dequantised:
            return x
        assert isinstance(self.data_range, LevelRange)
        y = (x + noise(x.shape, "uniform")) / self.data_range.num_levels
        return y.clamp(max=1 - torch.finfo(y.dtype).eps)  # rounding may reach 1

    def log_prob(self, x: Tensor, z: Tensor, labels: Tensor | None) -> Tensor:
        """Return log p(x | z), (K, B), of x (B, C, H, W) and z (K, B, dim)."""
        if labels is not None:
            labels = labels.repeat(len(z))
        parameters = self.parameters_of(z.flatten(0, 1), labels).unflatten(0, z.shape[:2])
        maps = self.likelihood.maps(x.shape[1])
        if x.dim() == 4 and parameters.shape[2:] != (maps, *x.shape[2:]):
            got = "x".join(map(str, parameters.shape[2:]))
            raise ValueError(
                f"decoder must give {maps} maps of {x.shape[2]}x{x.shape[3]} for "
                f"{type(self.likelihood).__name__}, got {got}"
            )
        return self.likelihood.log_prob(x, parameters.to(self.dtype))

    def parameters_of(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the likelihood's parameters of codes z (B, dim) of the lowest layer."""
        if self.num_classes is None:
            return self.decoder(z)
        return self.decoder(z, self._one_hot(labels))

    def sample(
        self,
        num_samples: int,
        generator: torch.Generator | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        """Draw codes of all layers, and return E[x | z] of the lowest."""
        noise = Noise(generator, self.device, self.dtype)
        z = self.prior(noise, num_samples)
        for layer in reversed(self.upper):
            p = self._normal(layer.decoder(z))
            z = p.transform(noise(p.mu.shape))
        parameters = self.parameters_of(z, self._labels(labels, num_samples))
        return self.likelihood.shown(parameters, noise)

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return E[x | z], (B, C, H, W), through the means of the layers below the top.

        A conditional model decodes for class 0 where no labels are given.
        """
        for layer in reversed(self.upper):
            z = self._normal(layer.decoder(z)).mu
        given = labels if labels is not None else self._zeros(len(z))
        return self.likelihood.mean(self.parameters_of(z, given))

    def reconstruct(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return E[x | z] at the posterior's mean of the lowest layer."""
        q, context = self._split(self._features(x, labels))
        z = q.mu if self.flow is None else self.flow(q.mu, context)[0]
        return self.likelihood.mean(self.parameters_of(z, labels))

    def represent(self, x: Tensor) -> Tensor:
        return self.posterior(x).mu

    def grids(
        self, x: Tensor, labels: Tensor, generator: torch.Generator
    ) -> dict[str, tuple[Tensor, int]]:
        given = labels if self.conditional else None
        return {**super().grids(x, labels, generator), **vae_grids(self, x, given)}

    def _zeros(self, count: int) -> Tensor | None:
        if self.num_classes is None:
            return None
        return torch.zeros(count, dtype=torch.long, device=self.device)

    def log_likelihood(
        self,
        x: Tensor,
        generator: torch.Generator | None = None,
        num_importance_samples: int = 1,
        labels: Tensor | None = None,
    ) -> Tensor:
        """Return the importance-weighted bound on log p(x), (B,), in nats; the ELBO at K = 1.

        Samples are drawn and summed a few at a time.

        Raises:
            ValueError: without a generator, with K < 1, or for data that the likelihood gives no
                probability.
        """
        if generator is None:
            raise ValueError("generator must be given for a bound, got None")
        if num_importance_samples < 1:
            raise ValueError(f"num_importance_samples must be >= 1, got {num_importance_samples}")
        noise = Noise(generator, self.device, self.dtype)
        observed = self.observe(x, noise)
        self.likelihood.check_data(observed)
        features = self._features(x, labels)
        size = self.likelihood.maps(x.shape[1]) * x[0, 0].numel()
        at_once = max(1, min(ROWS, PARAMETERS // size) // len(x))
        total = torch.full((len(x),), -math.inf, dtype=torch.float64, device=x.device)
        for first in range(0, num_importance_samples, at_once):
            count = min(at_once, num_importance_samples - first)
            draws = self._draw(observed, features, noise, count, labels)
            total = torch.logaddexp(total, draws.log_weights.double().logsumexp(0))
        return (total - math.log(num_importance_samples)).to(self.dtype)

    def _draw(
        self, x: Tensor, features: Tensor, noise: Noise, num_samples: int, labels: Tensor | None
    ) -> Draws:
        codes, log_qs, qs = self._infer(features, noise, num_samples)
        log_ps = [p.log_probs(z) for p, z in zip(self._priors(codes), codes, strict=True)]
        sums = [lq.sum(-1) - lp.sum(-1) for lq, lp in zip(log_qs, log_ps, strict=True)]
        kls = [
            lq - lp if lq.shape[-1] == lp.shape[-1] else s.unsqueeze(-1)
            for lq, lp, s in zip(log_qs, log_ps, sums, strict=True)
        ]
        if self.layers or self.flow is None:  # of the top layer in closed form
            top = qs[-1].kls_to_standard_normal()
            kls[-1] = top if self.layers else top.unsqueeze(0)
        log_likelihood = self.log_prob(x, codes[0], labels)
        log_weights = log_likelihood - torch.stack(sums).sum(0)
        log_q = torch.stack([lq.sum(-1) for lq in log_qs]).sum(0)
        return Draws(log_likelihood, tuple(kls), log_weights, log_q)

    def _labels(self, labels: Tensor | None, num_samples: int) -> Tensor | None:
        return labels_in_turn(labels, num_samples, self.num_classes, self.device)
