"""A process that ends with the one that started it, as by a signal: with all that it did saved."""

import ctypes
import os
import signal
import sys

__all__ = ["PARENT", "end_with_parent"]

PARENT = "DGMBENCH_PARENT"  # the number of the process that a process is to end with
PR_SET_PDEATHSIG = 1  # of Linux's prctl.h


def end_with_parent() -> None:
    """Ask the system for a SIGTERM when the parent ends, however it does, where one is named.

    A parent that has ended before this was asked is told by its number: then the signal comes at
    once. Only on Linux; elsewhere such a process goes on to its end.
    """
    parent = os.environ.pop(PARENT, None)  # it is not that of the processes that this one starts
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if str(os.getppid()) != parent:
        os.kill(os.getpid(), signal.SIGTERM)
