"""Where prepared data and weights lie, and what a name of such a place may be. No torch here."""

import os
import re
from pathlib import Path
from typing import Any

__all__ = ["PathError", "checked_name", "data_root", "expanded", "name_from"]

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")


class PathError(ValueError):
    """A path that leads nowhere on this machine."""


def data_root() -> Path:
    """Return the folder of prepared data and weights: $DGMBENCH_DATA, else ~/.cache/dgmbench.

    Raises:
        PathError: if the one is not given and there is no home folder for the other.
    """
    given = os.environ.get("DGMBENCH_DATA")
    if given is not None:
        return expanded(given, "DGMBENCH_DATA")
    try:
        return Path("~/.cache/dgmbench").expanduser()
    except RuntimeError:
        raise PathError(
            "DGMBENCH_DATA must be set to a folder for data and weights: there is no home folder "
            "(HOME is not set)"
        ) from None


def expanded(path: str | Path, what: str) -> Path:
    """Return a path whose ~ or ~user is replaced by a home folder.

    Every path that a user gives passes here.

    Args:
        path: The path.
        what: Its key, for the message.

    Raises:
        PathError: if there is no such home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        home = str(path).split("/")[0]
        why = "HOME is not set" if home == "~" else f"no user is called {home[1:]}"
        raise PathError(f"{what} must name a place on this machine, got {path}: {why}") from None


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
