"""What a generative model can be asked, beyond being trained; a protocol names what it needs.

A model has a capability if it has all of its members, whatever it inherits from.
"""

from functools import lru_cache
from typing import Protocol, TypeGuard, TypeVar

import torch
from torch import Tensor

from lit_models.priors import Prior
from lit_models.training.noise import Noise

__all__ = [
    "HasCodes",
    "HasEncoder",
    "HasLikelihood",
    "HasStochasticLayers",
    "Samples",
    "check_contract",
    "has",
    "require",
]

T = TypeVar("T")


class Samples(Protocol):
    """It draws samples."""

    def sample(
        self,
        num_samples: int,
        generator: torch.Generator | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        """Draw num_samples (N, ...) in the model's own range, with this generator alone.

        None is torch's global generator, for use by hand; training and protocols give their own.
        """


class HasCodes(Protocol):
    """It makes samples of codes.

    Attributes:
        prior: Draws codes (B, dim).
    """

    prior: Prior

    def decode(self, z: Tensor) -> Tensor:
        """Return the samples (B, ...) that belong to codes z (B, dim); differentiable in z."""


class HasEncoder(Protocol):
    """It represents data, and makes them anew from that."""

    def represent(self, x: Tensor) -> Tensor:
        """Return representations (B, dim) of data in the model's range."""

    def reconstruct(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return reconstructions (B, ...) of data in the model's range."""


class HasLikelihood(Protocol):
    """It gives data a log-likelihood, or a bound on it.

    Attributes:
        likelihood_kind: "exact", "elbo", "iwae" or "ais".
        dequantised: Whether it is a density of levels with uniform noise added.
        trained_by: What was optimised, where that is not the bound that scores it; else None.
    """

    likelihood_kind: str
    dequantised: bool
    trained_by: str | None

    def log_likelihood(
        self,
        x: Tensor,
        generator: torch.Generator | None = None,
        num_importance_samples: int = 1,
        labels: Tensor | None = None,
    ) -> Tensor:
        """Return log p(x), or a bound on it, in nats, (B,); x in the model's range."""


class HasStochasticLayers(Protocol):
    """It has codes in layers, each with a posterior."""

    def latents(
        self, x: Tensor, noise: Noise, num_samples: int, labels: Tensor | None = None
    ) -> list[tuple[Tensor, Tensor | None]]:
        """Return per layer, from the data upwards, posterior means and divergences.

        The means have shape (K or 1, B, D); the divergences from the prior, in nats, as well, or
        are None where they have no share per dimension.
        """


IN_WORDS: dict[type, str] = {
    Samples: "samples",
    HasCodes: "latent codes",
    HasEncoder: "an encoder",
    HasLikelihood: "a likelihood",
    HasStochasticLayers: "stochastic layers",
}


def has(thing: object, capability: type[T]) -> TypeGuard[T]:
    """Return whether an object has all members of a typing.Protocol.

    `isinstance` will not do: from Python 3.12 on it looks past `__getattr__`, by which torch's
    modules give their parts.
    """
    return all(hasattr(thing, name) for name in _members(capability))


def require(model: object, *needs: type) -> None:
    """Refuse a model that lacks a capability.

    Raises:
        ValueError: naming it, and those that the model has.
    """
    lacking = [IN_WORDS[need] for need in needs if not has(model, need)]
    if lacking:
        offered = [words for capability, words in IN_WORDS.items() if has(model, capability)]
        raise ValueError(
            f"this protocol needs a model with {' and '.join(lacking)}; {type(model).__name__} "
            f"has {', '.join(offered) or 'nothing that can be asked'}"
        )


def check_contract(model: object) -> None:
    """Refuse a model that has a part of a capability only.

    Raises:
        ValueError: naming what it has of it, and what is missing.
    """
    for capability, words in IN_WORDS.items():
        members = _members(capability)
        missing = [name for name in members if not hasattr(model, name)]
        if missing and len(missing) < len(members):
            found = ", ".join(name for name in members if name not in missing)
            raise ValueError(
                f"{type(model).__name__} must have {', '.join(missing)} as well to have {words}, "
                f"got {found} only"
            )


@lru_cache(maxsize=64)
def _members(capability: type) -> list[str]:
    methods = [name for name in vars(capability) if not name.startswith("_")]
    return sorted({*methods, *capability.__annotations__})
