"""Overrides of the command line: Hydra's grammar, read and written."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString

from benchmarks.config.settings import CONFIG_ERRORS
from benchmarks.core.errors import UserError, one_line

__all__ = ["as_override", "choices", "parse_overrides"]

# texts that Hydra's grammar reads as they stand, and as texts
PLAIN = re.compile(r"(?!(?:null|true|false|nan|inf)$)[A-Za-z][\w/-]*", re.IGNORECASE)


def as_override(key: str, value: Any) -> str:
    """Return what the command line gives to set a key: `parse_overrides` reads the value back."""
    return f"{key}={_written(value)}"


def _written(value: Any) -> str:
    """Return a value of JSON in Hydra's grammar."""
    if isinstance(value, str):
        plain = PLAIN.fullmatch(value)
        return value if plain else QuotedString(value, Quote.double).with_quotes()
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{_written(part)}' for key, part in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_written, value))}]"
    return json.dumps(value)


def choices(overrides: Sequence[str], group: str) -> list[str]:
    """Return the names that overrides choose of a group."""
    found: list[Any] = []
    for override in parse_overrides(overrides):
        if override.get_key_element().lstrip("+") == group:
            value = override.value()
            found = value if isinstance(value, list) else [value]
    return [str(name) for name in found]


def parse_overrides(overrides: Sequence[str]) -> list[Override]:
    """Return overrides of the command line by key and value.

    Raises:
        UserError: for one that does not parse.
    """
    parser, found = OverridesParser.create(), []
    for override in overrides:
        try:
            found += parser.parse_overrides([override])
        except CONFIG_ERRORS as error:
            said = one_line(error).split(" See https://hydra.cc")[0]
            raise UserError(f"{override!r} must be key=value: {said}") from error
    return found
