"""Where prepared data and weights lie, and what a name of such a place may be. No torch here."""

import os
import re
from pathlib import Path
from typing import Any

__all__ = ["checked_name", "data_root", "name_from"]

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")


def data_root() -> Path:
    """Return the folder of prepared data and weights: $DGMBENCH_DATA, else ~/.cache/dgmbench."""
    return Path(os.environ.get("DGMBENCH_DATA", "~/.cache/dgmbench")).expanduser()


def checked_name(name: Any, what: str) -> str:
    """Return a name that becomes a file or a folder, if it can be nothing else.

    Every name from a config, a record or a command line passes here before it becomes part of a
    path.

    Args:
        name: The name.
        what: The key of the name, for the message.

    Raises:
        ValueError: unless it has 1 to 100 letters, digits, or any of `_ . + -`, and begins with a
            letter, a digit or `_`.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(
            f"{what} must be 1 to 100 letters, digits or _.+- and begin with none of the last "
            f"three (it names a folder), got {name!r}"
        )
    return name


def name_from(path: str | Path) -> str:
    """Return a name for what lies at a path: its last part, with `_` for what no name may hold."""
    last = Path(os.path.abspath(Path(path).expanduser())).name.removesuffix(".npz")  # noqa: PTH100
    return re.sub(r"[^A-Za-z0-9_.+-]", "_", last).lstrip(".+-")[:100] or "images"
