"""Where things are: the configs of the package, the working space, the published results."""

import os
import tempfile
from pathlib import Path

from benchmarks.errors import UserError

__all__ = ["CONFIGS", "ROOT", "cache_dir", "check_writable", "outputs_dir", "results_dir"]

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"


def outputs_dir() -> Path:
    """Return the working space: $DGMBENCH_OUTPUTS, else `outputs` here."""
    return Path(os.environ.get("DGMBENCH_OUTPUTS", "outputs")).expanduser()


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
