"""Mistakes of the user: one line, exit code 2, no traceback."""

import difflib
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from benchmarks.core.redaction import redacted

__all__ = ["UserError", "leave_out", "one_line", "shortened", "suggest", "user_errors"]

LONGEST_LIST = 60  # names
LONGEST_WORD, SHOWN = 400, 60  # characters


class UserError(Exception):
    """What the command line prints in one line before it ends with code 2."""


def one_line(error: BaseException) -> str:
    """Return an error's message as one line."""
    if isinstance(error, RecursionError):  # of configs, whose defaults or values are followed
        return "it refers to itself, or is nested too deeply"
    if isinstance(error, OSError) and None not in (error.filename, error.strerror):
        return f"{error.filename} cannot be read or written: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


@lru_cache(maxsize=4096)  # a table reads its records several times
def leave_out(what: str) -> None:
    """Name, once, a record, a log or a picture that cannot be read; what is about it goes on.

    Args:
        what: Its file, and what is wrong with it.
    """
    print(f"dgmbench: left out: {shortened(redacted(what))}", file=sys.stderr)


def shortened(text: str) -> str:
    """Return a message whose longest words, such as a name of 5,000 characters, are cut."""
    return re.sub(
        rf"\S{{{LONGEST_WORD},}}",
        lambda word: f"{word[0][:SHOWN]}... ({len(word[0])} characters)",
        text,
    )


def suggest(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean a, b?" for the nearest known names, else a list that is short."""
    options = sorted(known)
    near = difflib.get_close_matches(name, options, n=3, cutoff=0.5)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return f"; known: {', '.join(options)}" if 0 < len(options) <= LONGEST_LIST else ""


@contextmanager
def user_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of these kinds into a `UserError` of one line."""
    try:
        yield
    except UserError:
        raise
    except kinds as error:
        raise UserError(one_line(error)) from error
