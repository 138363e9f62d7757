"""Where prepared data and weights lie. Nothing here imports torch."""

import os
from pathlib import Path

__all__ = ["data_root"]


def data_root() -> Path:
    """Return the folder of prepared data and weights: $DGMBENCH_DATA, else ~/.cache/dgmbench."""
    return Path(os.environ.get("DGMBENCH_DATA", "~/.cache/dgmbench")).expanduser()
