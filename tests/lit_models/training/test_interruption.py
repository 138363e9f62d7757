"""Signals set a flag; handlers of before come back."""

import os
import signal
import subprocess
import sys

import pytest

from lit_models.training import interruption
from lit_models.training.interruption import Interrupted, requested, signals_noted, stop_if_asked


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_signal_sets_the_flag_only(name):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with signals_noted():
        stop_if_asked()
        os.kill(os.getpid(), number)
        assert requested() == name
        with pytest.raises(Interrupted, match=name):
            stop_if_asked()
    assert requested() is None
    assert signal.getsignal(number) is before


def test_a_second_interrupt_ends_the_process():
    code = (
        "import os, signal, time; from lit_models.training.interruption import signals_noted\n"
        "with signals_noted():\n"
        "    os.kill(os.getpid(), signal.SIGINT); print('one', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGTERM); os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('two', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT); print('three', flush=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == interruption.FORCED_EXIT_CODE
    assert done.stdout == "one\n"
