"""What an extractor gives, and how its weights are opened."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

__all__ = ["Features", "check_hash"]


@dataclass(frozen=True)
class Features:
    """Features of a batch.

    Attributes:
        pooled: (B, D).
        logits: (B, K) of a classifier, or None.
    """

    pooled: Tensor
    logits: Tensor | None = None


def check_hash(path: Path, sha256: str) -> None:
    """Compare a weights file with its pinned hash, before anything opens it.

    Raises:
        ValueError: if it is absent or differs.
    """
    if not path.is_file():
        raise ValueError(f"weights file {path.name} is missing")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise ValueError(f"weights {path.name} must have SHA-256 {sha256}, got {found}")
