"""At which scale a table was published: seeds, and configurations of its search."""

import json
from pathlib import Path

from benchmarks.core.files import write_atomically
from benchmarks.core.paths import results_dir

__all__ = ["keep_scale", "published_scale"]


def published_scale(table: str) -> tuple[int | None, int | None]:
    """Return seeds and configurations of the published table; None for its specification's."""
    try:
        values = json.loads(_path(table).read_text(encoding="utf-8"))
        return values["seeds"], values["configurations"]
    except (OSError, ValueError, KeyError, TypeError):
        return None, None


def keep_scale(table: str, seeds: int | None, configurations: int | None) -> None:
    """Keep what the table was published with, if it is not its specification's."""
    if seeds is None and configurations is None:
        return
    values = {"seeds": seeds, "configurations": configurations}
    write_atomically(_path(table), json.dumps(values) + "\n")


def _path(table: str) -> Path:
    return results_dir() / Path(table).stem / "scale.json"
