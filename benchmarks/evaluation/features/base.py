"""What an extractor gives, and how its weights are opened."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["CachedExtractor", "Extractor", "Features", "check_hash", "name_of"]


@dataclass(frozen=True)
class Features:
    """Features of a batch.

    Attributes:
        pooled: (B, D).
        logits: (B, K) of a classifier, or None.
    """

    pooled: Tensor
    logits: Tensor | None = None

    def __getitem__(self, rows: slice) -> "Features":
        return Features(self.pooled[rows], None if self.logits is None else self.logits[rows])

    def to(self, device: torch.device) -> "Features":
        """Return them on a device."""
        logits = None if self.logits is None else self.logits.to(device)
        return Features(self.pooled.to(device), logits)


class Extractor(Protocol):
    """Maps floats in [0, 255], (B, C, H, W), to features; or vectors (B, D).

    Attributes:
        of_vectors: Whether it is for data that are vectors, and no images.
    """

    of_vectors: bool

    @property
    def version(self) -> int:
        """The version of the extractor, raised when a change of its code changes the features."""

    def __call__(self, images: Tensor) -> Features:
        """Return the features of a batch, computed where it lies."""


@dataclass(frozen=True)
class CachedExtractor:
    """An extractor that works out the features of the same batch once.

    Several protocols then share what is by far the dearest part of a score.

    Attributes:
        extractor: The extractor.
        known: Features by the digest of their batch; the caller's, who knows how long they serve.
    """

    extractor: Extractor
    known: dict[bytes, Features]

    @property
    def version(self) -> int:
        """The extractor's."""
        return self.extractor.version

    @property
    def of_vectors(self) -> bool:
        """The extractor's."""
        return self.extractor.of_vectors

    def __call__(self, images: Tensor) -> Features:
        """Return the features of images (B, C, H, W)."""
        pixels = images.float().contiguous().cpu().numpy()
        digest = hashlib.sha256(str((pixels.shape, pixels.dtype)).encode())
        digest.update(pixels.data)
        key = digest.digest()
        if key not in self.known:
            self.known[key] = self.extractor(images)
        return self.known[key]


def name_of(extractor: Extractor) -> str:
    """Return what an extractor is called: by the name of its class."""
    inner = extractor.extractor if isinstance(extractor, CachedExtractor) else extractor
    return type(inner).__name__


def check_hash(path: Path, accepted: Sequence[str]) -> None:
    """Compare a weights file with its pinned hashes, before anything opens it.

    Raises:
        ValueError: if it is absent, or has none of them.
    """
    if not path.is_file():
        raise ValueError(f"weights file {path.name} is missing")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found not in accepted:
        allowed = " or ".join(map(str, accepted))
        raise ValueError(f"weights {path.name} must have SHA-256 {allowed}, got {found}")
