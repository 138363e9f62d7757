"""Where things are: the configs of the package, the working space, the published results."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.core.errors import UserError
from datamodules.root import expanded

__all__ = [
    "CONFIGS",
    "ROOT",
    "cache_dir",
    "check_writable",
    "outputs_dir",
    "results_dir",
    "working_in",
]

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"


def outputs_dir() -> Path:
    """Return the working space: $DGMBENCH_OUTPUTS, else `outputs` here."""
    return expanded(os.environ.get("DGMBENCH_OUTPUTS", "outputs"), "DGMBENCH_OUTPUTS")


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Take another folder for outputs for a while, in this process and those it starts."""
    before = os.environ.get("DGMBENCH_OUTPUTS")
    os.environ["DGMBENCH_OUTPUTS"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["DGMBENCH_OUTPUTS"]
        else:
            os.environ["DGMBENCH_OUTPUTS"] = before


def results_dir() -> Path:
    """Return the folder of published results, `results` here."""
    return Path("results")


def cache_dir() -> Path:
    """Return the folder of what can be computed again."""
    return outputs_dir() / ".cache"


def check_writable(folder: Path) -> None:
    """Create the folder and a file in it.

    Raises:
        UserError: if that fails, before anything was computed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"outputs must be a writable folder (DGMBENCH_OUTPUTS), got {folder}: {reason}"
        ) from None
