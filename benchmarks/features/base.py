"""What an extractor gives, and how its weights are opened."""

import hashlib
from collections.abc import Sequence
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
        raise ValueError(
            f"weights {path.name} must have SHA-256 {' or '.join(accepted)}, got {found}"
        )
