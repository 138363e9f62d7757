"""The posterior of a variational autoencoder, layer by layer, and draws of it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from lit_models.images import DataRange, LevelRange, centred
from lit_models.labels import one_hot_map
from lit_models.priors import NormalPrior
from lit_models.training.noise import Noise
from lit_models.vae.objectives import VariationalObjective
from lit_models.vae.posteriors import DiagonalNormal, InverseAutoregressiveFlow

__all__ = ["LayeredInference", "StochasticLayer"]


class StochasticLayer(nn.Module):
    """A further layer of codes above z (..., D) (Burda et al., 2016, Sec. 2).

    Args:
        dim: D', the dimension of its codes.
        encoder: Maps z (B, D) to (B, 2 D'), mean and raw deviation of q(z' | z).
        decoder: Maps z' (B, D') to (B, 2 D), mean and raw deviation of p(z | z').
    """

    def __init__(self, dim: int, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.dim, self.encoder, self.decoder = dim, encoder, decoder


class LayeredInference:
    """q(z_1 | x) q(z_2 | z_1) ..., of a model whose attributes these are.

    Attributes:
        encoder: Maps x, with labels where there are classes, to the features of q(z_1 | x).
        layers: The stochastic layers above the lowest.
        flow: Makes the lowest layer's posterior more flexible; None for a diagonal normal.
        prior: The standard normal prior over the top layer's codes.
        min_sigma: Added to the deviations.
        deviation: Makes raw deviations positive; None for a softplus.
        objective: What training minimises.
        data_range: The range of x.
        dtype: The type of the parameters.
    """

    encoder: nn.Module
    layers: nn.ModuleList
    flow: InverseAutoregressiveFlow | None
    prior: NormalPrior
    min_sigma: float
    deviation: nn.Module | None
    num_classes: int | None
    objective: VariationalObjective
    data_range: DataRange
    dtype: Any

    @property
    def upper(self) -> list[StochasticLayer]:
        """The stochastic layers above the lowest, from the data upwards."""
        return list(self.layers)  # type: ignore[arg-type]

    def posterior(self, x: Tensor, labels: Tensor | None = None) -> DiagonalNormal:
        """Return q(z | x) of the lowest layer, before any flow, for x (B, C, H, W)."""
        return self._split(self._features(x, labels))[0]

    def _features(self, x: Tensor, labels: Tensor | None) -> Tensor:
        if isinstance(self.data_range, LevelRange):
            x = centred(x, self.data_range.num_levels, self.dtype)
        features = (
            self.encoder(x) if self.num_classes is None else self.encoder(x, self._one_hot(labels))
        )
        return features.to(self.dtype)  # densities in full precision under autocast

    def _split(self, features: Tensor) -> tuple[DiagonalNormal, Tensor]:
        count = self.flow.context_features if self.flow is not None else 0
        size = features.shape[1] - count
        dim = self.prior.dim
        if not self.layers and size != 2 * dim:
            raise ValueError(
                f"out_features of the encoder must be {2 * dim + count}, mean and deviation of "
                f"{dim} dimensions and {count} features for a flow, got {features.shape[1]}"
            )
        return self._normal(features[:, :size]), features[:, size:]

    def _normal(self, features: Tensor) -> DiagonalNormal:
        positive = softplus if self.deviation is None else self.deviation
        return DiagonalNormal.from_features(features.to(self.dtype), self.min_sigma, positive)

    def latents(
        self, x: Tensor, noise: Noise, num_samples: int, labels: Tensor | None = None
    ) -> list[tuple[Tensor, Tensor | None]]:
        """Return what each layer does with x, from the data upwards; nothing is decoded.

        Returns:
            Per layer the mean of its posterior given the draw below, (K or 1, B, D), with a flow
            the draws themselves; and KL(q(z | below), p(z | above)) of every dimension, of two
            normals at the draws below and above, never negative; None with a flow.
        """
        codes, _, qs = self._infer(self._features(x, labels), noise, num_samples)
        if self.flow is not None:
            return [(z, None) for z in (codes[0], *(q.mu for q in qs[1:]))]
        ps = self._priors(codes)
        means = [qs[0].mu.unsqueeze(0), *(q.mu for q in qs[1:])]
        return [(m, q.kls_to(p)) for m, q, p in zip(means, qs, ps, strict=True)]

    def _infer(
        self, features: Tensor, noise: Noise, num_samples: int
    ) -> tuple[list[Tensor], list[Tensor], list[DiagonalNormal]]:
        """Return codes, log q of them, and the normals they come from, by layer.

        log q is per dimension, (K, B, D); with a flow of all dimensions together, (K, B, 1).
        """
        q, context = self._split(features)
        eps = self._eps(q, noise, num_samples)
        if self.flow is None:
            z = self._passed(q.transform(eps[0]))
            log_qs = [q.log_probs(z)]
        else:
            z0 = q.transform(eps[0])
            z, log_det = self.flow(z0, context)
            log_qs = [(q.log_prob(z0) - log_det).unsqueeze(-1)]
        codes, qs = [z], [q]
        for layer, own in zip(self.upper, eps[1:], strict=True):
            q = self._normal(layer.encoder(z.flatten(0, 1)).unflatten(0, z.shape[:2]))
            z = self._passed(q.transform(own))
            log_qs.append(q.log_probs(z))
            codes.append(z)
            qs.append(q)
        return codes, log_qs, qs

    def _passed(self, z: Tensor) -> Tensor:
        """Return codes, without their gradient where the objective estimates it otherwise."""
        return z if self.objective.reparameterised else z.detach()

    def _eps(self, q: DiagonalNormal, noise: Noise, num_samples: int) -> list[Tensor]:
        """Return the noise of each layer, (K, B, D), drawn sample by sample."""
        dims = [q.mu.shape[-1], *(layer.dim for layer in self.upper)]
        draws = [[noise((len(q.mu), d)) for d in dims] for _ in range(num_samples)]
        return [torch.stack(layer) for layer in zip(*draws, strict=True)]

    def _priors(self, codes: Sequence[Tensor]) -> list[DiagonalNormal]:
        """Return p of each layer's codes given those above."""
        found = []
        for layer, above in zip(self.upper, codes[1:], strict=True):
            features = layer.decoder(above.flatten(0, 1)).unflatten(0, above.shape[:2])
            found.append(self._normal(features))
        top = codes[-1]
        return [*found, DiagonalNormal(torch.zeros_like(top), torch.ones_like(top))]

    def _one_hot(self, labels: Tensor | None) -> Tensor:
        assert self.num_classes is not None
        return one_hot_map(labels, self.num_classes, self.dtype)[..., 0, 0]
