"""The variational autoencoder with a standard normal prior."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_models.base import LitGenerativeModel, OptimizerFactory
from lit_models.images import DataRange
from lit_models.noise import Noise
from lit_models.priors import NormalPrior
from lit_models.schedules import Schedule
from lit_models.vae.bounds import importance_weighted_bound
from lit_models.vae.densities import standard_normal_log_prob
from lit_models.vae.likelihoods import Likelihood
from lit_models.vae.posteriors import DiagonalNormal

__all__ = ["VAE"]


class VAE(LitGenerativeModel):
    r"""Minimises the mean over the batch of -log p(x|z) + kl_weight KL(q(z|x), N(0, I)), in nats.

    Kingma and Welling, 2014, https://arxiv.org/abs/1312.6114, Eq. 10, with one draw of z and the
    KL in closed form. kl_weight = 1 is the ELBO. Lucic et al. (2018) average the cross-entropy
    over channels, which is kl_weight = C up to the scale of the loss.

    Args:
        encoder: Maps x (B, C, H, W) to (B, 2 dim), mean and raw deviation.
        decoder: Maps z (B, dim) to the likelihood's parameters.
        likelihood: The observation model.
        prior: The standard normal prior over z.
        kl_weight: Weight of the KL term.
        min_sigma: Added to the posterior's deviation.
        optimizer: Builds the optimizer.
        batch_size: Images per update, over all processes.
        data_range: The range of x.
        schedule: Factor on the learning rate.

    Raises:
        ValueError: if kl_weight is negative.
    """

    likelihood_kind: ClassVar[str | None] = "elbo"
    prior: NormalPrior

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        prior: NormalPrior,
        kl_weight: float,
        min_sigma: float,
        optimizer: OptimizerFactory,
        batch_size: int,
        data_range: DataRange,
        schedule: Schedule | None = None,
    ) -> None:
        super().__init__(batch_size, data_range, schedule)
        if kl_weight < 0:
            raise ValueError(f"kl_weight must be >= 0, got {kl_weight}")
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood
        self.prior = prior
        self.kl_weight, self.min_sigma = kl_weight, min_sigma
        self.optimizer_factory = optimizer

    def configure_optimizers(self) -> Optimizer:
        return self.optimizer_factory(self.parameters())

    def posterior(self, x: Tensor) -> DiagonalNormal:
        """Return q(z | x) for x (B, C, H, W)."""
        # densities and likelihoods in full precision under autocast
        return DiagonalNormal.from_features(self.encoder(x).to(self.dtype), self.min_sigma)

    def train_step(self, x: Tensor, labels: Tensor) -> Tensor:
        q = self.posterior(x)
        z = q.transform(self.prior(self.noise, len(x)))
        reconstruction = -self.likelihood.log_prob(x, self.decoder(z).to(self.dtype)).mean()
        kl = q.kl_to_standard_normal().mean()
        self.track(reconstruction_nats=reconstruction, kl_nats=kl)
        loss = reconstruction + self.kl_weight * kl
        self.track(loss=loss)
        return loss

    def decode(self, z: Tensor) -> Tensor:
        """Return E[x | z], (B, C, H, W)."""
        return self.likelihood.mean(self.decoder(z))

    def log_likelihood(
        self,
        x: Tensor,
        generator: torch.Generator | None = None,
        num_importance_samples: int = 1,
        labels: Tensor | None = None,
    ) -> Tensor:
        """Return the importance-weighted bound on log p(x), (B,), in nats; the ELBO at K = 1.

        Raises:
            ValueError: without a generator, or for data that the likelihood gives no probability.
        """
        if generator is None:
            raise ValueError("generator must be given for a bound, got None")
        self.likelihood.check_data(x)
        noise = Noise(generator, self.device, self.dtype)
        q = self.posterior(x)
        log_weights = []
        for _ in range(num_importance_samples):
            z = q.transform(self.prior(noise, len(x)))
            log_joint = self.likelihood.log_prob(x, self.decoder(z)) + standard_normal_log_prob(z)
            log_weights.append(log_joint - q.log_prob(z))
        return importance_weighted_bound(torch.stack(log_weights))
