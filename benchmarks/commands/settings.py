"""Arguments that several verbs share, and `key=value` settings of verbs."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.core.errors import UserError, suggest

if TYPE_CHECKING:
    from benchmarks.tables.plan.choice import Choice

__all__ = [
    "add_choice",
    "add_config_dir",
    "choice_of",
    "is_path",
    "names_in",
    "number_of",
    "numbers_in",
    "settings_in",
]


def add_config_dir(parser: argparse.ArgumentParser) -> None:
    """Let a verb be told of folders of the user's own parts."""
    parser.add_argument(
        "--config-dir",
        action="append",
        default=[],
        metavar="DIR",
        help="a folder of your own parts, as DGMBENCH_PATH names them (docs/extending.md)",
    )


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Let a verb be told which of a table's runs are meant."""
    parser.add_argument("--seeds", type=int, help="number of seeds (default: the spec's)")
    parser.add_argument("--configurations", type=int, help="per phase of the search")
    parser.add_argument("--rows", default="", help="only these rows: labels, with commas between")
    parser.add_argument("--columns", default="", help="only these columns or data sets")


def choice_of(given: argparse.Namespace) -> "Choice":
    """Return which of a table's runs are meant."""
    from benchmarks.tables.plan.choice import Choice

    return Choice(
        given.seeds,
        given.configurations,
        names_in(given.rows),
        names_in(given.columns),
        names_in(getattr(given, "retry", "")),
        getattr(given, "published", False),
    )


def names_in(text: str) -> tuple[str, ...]:
    """Return names with commas between."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def is_path(argument: str, known: Sequence[str]) -> bool:
    """Return whether an argument is a path, which may hold a =, and no setting of a verb."""
    key, equals, _ = argument.partition("=")
    return not equals or "/" in key or (key not in known and Path(argument).exists())


def settings_in(overrides: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Return `key=value` settings of a verb.

    Raises:
        UserError: for a key that is not among the known ones.
    """
    found = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or key not in known:
            raise UserError(f"{key} is no setting of this verb{suggest(key, known)}")
        found[key] = value
    return found


def numbers_in(settings: dict[str, str], name: str) -> list[float] | None:
    """Return numbers with commas between; None where the setting is not given.

    Raises:
        UserError: if they are none.
    """
    if name not in settings:
        return None
    try:
        return [float(part) for part in settings[name].strip("[]").split(",")]
    except ValueError:
        raise UserError(
            f"{name} must be numbers with commas between, got {settings[name]}"
        ) from None


def number_of(settings: dict[str, str], name: str) -> int:
    """Return a number of at least 1; 1 where the setting is not given.

    Raises:
        UserError: if it is none.
    """
    value = settings.get(name, "1")
    if not (value.isascii() and value.isdecimal() and int(value) >= 1):
        raise UserError(f"{name} must be an integer >= 1, got {value}")
    return int(value)
