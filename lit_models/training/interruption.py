"""Signals that end work at the next clean moment; until then they set a flag and nothing else."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = [
    "EXIT_CODE",
    "SIGNALS",
    "Interrupted",
    "interrupted",
    "request",
    "requested",
    "signals_noted",
    "stop_if_asked",
]

EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: the same command continues
FORCED_EXIT_CODE = 130
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)

_requested: str | None = None
_impatient = False  # a SIGINT has come already


class Interrupted(BaseException):
    """Work has ended at a clean moment, since a signal asked for it; all processes raise this."""


def request(reason: str) -> None:
    """Ask for the end at the next clean moment."""
    global _requested
    _requested = reason


def requested() -> str | None:
    """Return why this process was asked to end; None if it was not."""
    return _requested


def interrupted() -> Interrupted:
    """Return what ends work on every process, also on those to which no signal came."""
    return Interrupted(_requested or "a signal to another process")


def stop_if_asked() -> None:
    """End here if a signal came to some process; every process of a group must call this.

    Raises:
        Interrupted: on every process.
    """
    # lazily: torch takes a second, and every verb imports this module
    from lit_models.training.collectives import any_process, group_device, world

    asked = _requested is not None
    if any_process(asked, group_device()) if world()[1] > 1 else asked:
        raise interrupted()


@contextmanager
def signals_noted() -> Iterator[None]:
    """Let `SIGNALS` set the flag; a second SIGINT ends the process at once.

    What was saved is whole at any time, so nothing is cleaned up then.
    """
    global _requested, _impatient
    before = {number: signal.signal(number, _note) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _requested, _impatient = None, False


def _note(number: int, frame: Any) -> None:
    global _impatient
    if number == signal.SIGINT:
        if _impatient:
            os._exit(FORCED_EXIT_CODE)
        _impatient = True
    request(signal.Signals(number).name)
