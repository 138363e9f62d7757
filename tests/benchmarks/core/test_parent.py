"""A process ends with the one that started it, however that ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.core.parent import PARENT, end_with_parent

ROOT = Path(__file__).parents[3]
CHILD = """
import os, signal, sys, time
from benchmarks.core.parent import PARENT, end_with_parent
from lit_models.training.interruption import requested, signals_noted
with signals_noted():
    print("begun", flush=True)
    {before}
    end_with_parent()
    assert PARENT not in os.environ
    print("asked", flush=True)
    until = time.monotonic() + 60
    while requested() is None and time.monotonic() < until:
        time.sleep(0.01)
    print("saved after", requested(), flush=True)
"""
STARTER = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1]], env={**os.environ, "NAME": str(os.getpid())})
time.sleep(60)
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells of a parent's end")


@pytest.mark.parametrize("first", ["the child asks", "the parent ends"])
def test_a_child_ends_as_after_a_signal_when_its_parent_is_killed(first):
    """Also where the parent has ended before the child has asked to be told."""
    late = "while os.getppid() == int(os.environ[PARENT]): time.sleep(0.01)"
    code = CHILD.format(before=late if first == "the parent ends" else "pass")
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER.replace("NAME", PARENT), code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert starter.stdout.readline() == "begun\n"
    if first == "the child asks":
        assert starter.stdout.readline() == "asked\n"
    starter.send_signal(signal.SIGKILL)
    said = starter.stdout.read()  # until the child has ended, too
    starter.wait()
    assert said.endswith("saved after SIGTERM\n")


def test_a_process_that_is_to_end_with_nobody_goes_on(monkeypatch):
    monkeypatch.delenv(PARENT, raising=False)
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("nobody asked for this"))
    end_with_parent()
