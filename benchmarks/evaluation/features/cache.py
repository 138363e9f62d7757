"""Features of real images on disk, shared by all protocols with the same extractor."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from benchmarks.config.identity import fingerprint
from benchmarks.core.files import write_atomically
from benchmarks.evaluation.features.base import Features

__all__ = ["FeatureCache"]

LAYOUT = 2  # of the files


@dataclass(frozen=True)
class FeatureCache:
    """Keeps the features of a split's first images in the order of a seed.

    Attributes:
        folder: Where the files stand.
        extractor: Config of the extractor, its weights' hash included, and its version.
        data: What identifies the data, their levels and their splits.
    """

    folder: Path
    extractor: Any
    data: list[Any]

    def path(self, split: str, count: int, seed: int) -> Path:
        """Return the file for these images."""
        return self.folder / f"{self._key(split, count, seed)[:16]}.safetensors"

    def load(self, split: str, count: int, seed: int) -> Features:
        """Return the features (count, D).

        Raises:
            ValueError: if the file cannot be read, holds features of something else, or was
                changed since it was written.
        """
        path = self.path(split, count, seed)
        try:
            with safetensors.safe_open(path, "pt") as file:
                found = (file.metadata() or {}).get("fingerprint")
                digest = (file.metadata() or {}).get("content")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ValueError(f"cached features {path} cannot be read; delete it") from error
        expected = self._key(split, count, seed)
        if found != expected or len(tensors["pooled"]) != count:
            raise ValueError(
                f"cached features {path} must have fingerprint {expected}, got {found}; delete it"
            )
        if digest != _content(tensors):
            raise ValueError(f"cached features {path} were changed since; delete it")
        return Features(tensors["pooled"], tensors.get("logits"))

    def save(self, features: Features, split: str, count: int, seed: int) -> None:
        """Write the features (count, D), whole or not at all."""
        path = self.path(split, count, seed)
        tensors = {"pooled": features.pooled, "logits": features.logits}
        held = {name: x.cpu().contiguous() for name, x in tensors.items() if x is not None}
        key = self._key(split, count, seed)
        about = {"fingerprint": key, "content": _content(held)}
        write_atomically(path, safetensors.torch.save(held, metadata=about))

    def _key(self, split: str, count: int, seed: int) -> str:
        return fingerprint([LAYOUT, self.extractor, self.data, split, count, seed])


def _content(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of the numbers."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].numpy().data)
    return digest.hexdigest()
