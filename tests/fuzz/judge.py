"""Calls made, in this process or in one of their own, and what is wrong with how they ended."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from benchmarks.__main__ import main
from tests.fuzz.calls import Call
from tests.fuzz.space import Space

__all__ = ["Failure", "call_here", "call_process"]

SECONDS = 30  # of the processor, so that no load makes a call fail
FAULT = re.compile(r"dgmbench: (.*) \(a fault of the program: (.*)\)")
ROOT = Path(__file__).parents[2]
PROCESSES = (  # places in which the program must do as well
    {"PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "POSIX", "TERM": "dumb"},
    {"COLUMNS": "10"},
    {},
)


@dataclass(frozen=True)
class Failure:
    """What was wrong with a call.

    Attributes:
        kind: The same for calls that fail in the same place.
        said: What the call said.
    """

    kind: str
    said: str


class TooLongError(BaseException):
    """A call has taken longer than any should."""


def call_here(space: Space, call: Call) -> Failure | None:
    """Make a call in this process; return what was wrong."""
    space.renew()
    if call.damage is not None:
        call.damage(space.here)
    out, err = io.StringIO(), io.StringIO()
    kept = dict(os.environ)
    os.environ |= call.environment
    try:
        with _limited(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(call.arguments)
    except SystemExit as end:  # of argparse
        code = end.code if isinstance(end.code, int) else 1
    except TooLongError:
        return Failure("too long", err.getvalue())
    except BaseException as error:
        return Failure(f"escaped: {_place(error)}", traceback.format_exc())
    finally:
        os.environ.clear()
        os.environ |= kept
        os.chdir(space.here)
    return _judged(call, code, err.getvalue())


def call_process(space: Space, call: Call, number: int) -> Failure | None:
    """Make a call in a process of its own, in a place of its own; return what was wrong."""
    space.renew()
    if call.damage is not None:
        call.damage(space.here)
    place = PROCESSES[number % len(PROCESSES)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *call.arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **call.environment, **place},
        capture_output=True,
        check=False,
        timeout=20 * SECONDS,
    )
    return _judged(call, done.returncode, done.stderr.decode(errors="replace"))


def _judged(call: Call, code: int, said: str) -> Failure | None:
    if "Traceback (most recent call last)" in said:
        return Failure(f"traceback: {said.strip().splitlines()[-1][:100]}", said)
    if fault := FAULT.search(said):
        trace = Path(fault[2]).read_text(encoding="utf-8")
        places = re.findall(r'File "(.*)", line (\d+)', trace)
        ours = [f"{Path(f).name}:{n}" for f, n in places if str(ROOT) in f and ".venv" not in f]
        return Failure(f"fault at {' < '.join(ours[::-1][:3])}: {fault[1][:120]}", trace)
    if code not in (0, 1, 2):
        return Failure(f"exit code {code}", said)
    if code != 2 or "usage: " in said:
        return None
    lines = [line for line in said.splitlines() if line.startswith("dgmbench: ")]
    told = [line for line in lines if not line.startswith("dgmbench: left out: ")]
    if not told:
        return Failure("code 2 without a line", said)
    if call.names and not any(name in said for name in call.names):
        return Failure(f"{call.kind}: nothing is named: {told[-1][:120]}", said)
    return None


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in frames[::-1][:3])
    return f"{type(error).__name__} at {where}"
