"""Speed of the queue: a thousand runs submitted and looked up, on this machine's SLURM."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.core.paths import working_in
from benchmarks.execution.slurm import commands

__all__ = ["cluster"]

SEEDS = 84  # of the quick table's twelve rows, and its floor: 1,009 runs
HELD = ("--launcher", "slurm", "launcher.sbatch.hold=true")
SINGLE_JOBS = 50
ASKED = "DGMBENCH_SPEED_SLURM"  # nobody's queue is filled unasked


def cluster() -> Iterator[str]:
    """Yield one line per measurement, or that there is no cluster to try it on."""
    if ASKED not in os.environ or not commands.has_slurm():
        yield f"submission of 1,009 held jobs: only with {ASKED}=1 and a SLURM to try it on"
        return
    with tempfile.TemporaryDirectory() as folder, working_in(Path(folder)):
        seconds, said = _timed("table", *HELD)
        try:
            one_by_one = _single_jobs()
            yield (
                f"1,009 runs submitted in {said.count('submitted ') // 2} arrays: {seconds:.1f} s "
                f"(goal < 30 s; a bare loop of sbatch {one_by_one:.1f} s)"
            )
            yield f"status of 1,009 runs in the queue: {_timed('status')[0]:.1f} s (goal < 3 s)"
            yield f"the same submission again, nothing to do: {_timed('table', *HELD)[0]:.1f} s"
        finally:
            _timed("cancel")


def _timed(verb: str, *arguments: str) -> tuple[float, str]:
    began = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks", verb, "quick", "--seeds", str(SEEDS)]
    done = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True)
    return time.perf_counter() - began, done.stdout


def _single_jobs() -> float:
    """Return the seconds of submitting as many jobs one at a time."""
    name = "dgmbench-speed"
    began = time.perf_counter()
    for _ in range(SINGLE_JOBS):
        command = ["sbatch", "--hold", "-J", name, "-o", "/dev/null", "--wrap", "true"]
        subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - began
    subprocess.run(["scancel", "--me", "-n", name], check=True, capture_output=True)
    return seconds / SINGLE_JOBS * 1009
