"""What a job does: its runs, each in a process of its own, and how they ended.

Every process of a job does this; the first one takes notes, writes what a run that died could not
say itself, and decides at the end (`leaving`).
"""

import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks.errors import UserError
from benchmarks.records import Record
from benchmarks.redaction import redacted
from benchmarks.run_state import is_held
from benchmarks.slurm import commands
from benchmarks.slurm.commands import SlurmError
from benchmarks.slurm.leaving import LOOKED_AFTER, job_name, leave, near_limit
from benchmarks.slurm.staging import stage
from benchmarks.slurm.submissions import Notes, Submission, Work
from lit_models.interruption import EXIT_CODE, SIGNALS, requested, signals_noted

__all__ = ["run_task"]

POLL_SECONDS = 0.2
RETRY_SECONDS, MOST_TRIES = 5.0, 60  # while another process has a run


def run_task(folder: str, task: int) -> None:
    """Do a task of an array; the process ends here.

    submitit, which calls this, would take the signals itself and report a result that nobody
    reads.

    Args:
        folder: Of the submission.
        task: Number in the array.
    """
    code = 1
    try:
        with signals_noted():
            code = Job(Path(folder), task).run()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@dataclass
class Process:
    """A run at work."""

    work: Work
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    slot: int
    reached: tuple[int, int]  # when it began


class Job:
    """One life of a job.

    Args:
        folder: Of its submission.
        task: Its number in the array.
    """

    def __init__(self, folder: Path, task: int) -> None:
        self.submission, self.task = Submission.read(folder), task
        self.first = os.environ.get("SLURM_PROCID", "0") == "0"
        self.notes_path = self.submission.notes_path(task)
        self.notes = Notes.read(self.notes_path)
        self.stops, self.ended, self.tries = False, 0, 0  # in this life
        os.chdir(self.submission.cwd)
        os.environ.update(self.submission.variables)

    def run(self) -> int:
        """Do the runs that are left; return the exit code."""
        before = self.notes.node
        self.notes.job, self.notes.node = job_name() or "", _node()
        self.notes.lives, self.notes.left = self.notes.lives + 1, None
        self._write_notes()
        if before and self.first:
            print(f"life {self.notes.lives} on {self.notes.node}, after {before}", flush=True)
        works = [w for w in self.submission.jobs[self.task] if w.name not in self.notes.ended]
        environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            LOOKED_AFTER: "1",
            **stage(self.submission.stage_to, [f for w in works for f in w.files]),
        }
        stopped = self._work_through(works, environment)
        if not self.stops:
            self.notes.left = "done"
            self._write_notes()
            return 1 if any(self.notes.ended.values()) else 0
        return self._leave(stopped)

    def _work_through(self, works: list[Work], environment: dict[str, str]) -> list[Process]:
        """Run all, so many at once; return those that were stopped before their end."""
        waiting, running, stopped = list(works), list[Process](), list[Process]()
        while (waiting or running) and not self.stops:
            while waiting and len(running) < self.submission.side_by_side:
                free = set(range(self.submission.side_by_side)) - {p.slot for p in running}
                running.append(self._start(waiting.pop(0), min(free), environment))
            for each in [p for p in running if p.process.poll() is not None]:
                running.remove(each)
                if self._must_wait(each):
                    waiting.append(each.work)
                elif not self._ended(each):
                    stopped.append(each)
            self.stops = bool(stopped) or requested() is not None
            time.sleep(POLL_SECONDS)
        for each in running:
            each.process.send_signal(signal.SIGTERM)
        for each in running:
            each.process.wait()
        return [*stopped, *(each for each in running if not self._ended(each))]

    def _start(self, work: Work, slot: int, environment: dict[str, str]) -> Process:
        work.run.folder.mkdir(parents=True, exist_ok=True)
        began = reached(work)
        log = _log(work).open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks", *work.command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**environment, **_gpu_of(slot, self.submission.side_by_side)},
        )
        return Process(work, process, log, slot, began)

    def _must_wait(self, each: Process) -> bool:
        """Return whether a run could not begin, since a process of an earlier life is still at it.

        A node that the controller takes for dead may live; it ends its jobs when it hears of it.
        """
        alone = os.environ.get("SLURM_NTASKS", "1") == "1"
        if each.process.returncode != 2 or not alone or not is_held(each.work.run):
            return False
        each.log.close()
        self.tries += 1
        time.sleep(RETRY_SECONDS)
        return self.tries <= MOST_TRIES

    def _ended(self, each: Process) -> bool:
        """Note how a run ended; return False if it was stopped and is to go on."""
        each.log.close()
        code = each.process.returncode
        if code == EXIT_CODE or (requested() is not None and -code in SIGNALS):
            return False
        print(f"{each.work.label}: ended with code {code}", flush=True)
        if self.first and code != 0:
            write_failure(each.work, why(each.work, code))
        self.ended += 1
        self.notes.ended[each.work.name] = code
        self._write_notes()
        return True

    def _leave(self, stopped: list[Process]) -> int:
        """Decide what becomes of a job that was told to end; only its first process does."""
        if not self.first:
            return 0
        info = None
        with suppress(SlurmError):
            info = commands.job_info(self.notes.job)
        at_limit = info is not None and near_limit(info, self.submission.signal_seconds)
        stuck = not self.ended and all(p.reached == reached(p.work) for p in stopped)
        if at_limit and stopped and stuck:
            reason = f"time limit: no progress in a job of {self.submission.time_minutes} minutes"
            for each in stopped:
                write_failure(each.work, reason)
                self.notes.ended[each.work.name] = 1
            code, self.notes.left = 1, reason
        else:
            code, self.notes.left = leave(self.notes.job, info)
        print(f"{requested() or 'a signal to a run'}: {self.notes.left}", flush=True)
        self._write_notes()
        return code

    def _write_notes(self) -> None:
        if self.first:
            self.notes.write(self.notes_path)


def _log(work: Work) -> Path:
    rank = os.environ.get("SLURM_PROCID", "0")
    return work.run.folder / ("run.log" if rank == "0" else f"run.{rank}.log")


def _gpu_of(slot: int, side_by_side: int) -> dict[str, str]:
    """Deal out the GPUs of the job to runs side by side."""
    gpus = [g for g in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if g]
    if side_by_side == 1 or len(gpus) < 2:
        return {}
    return {"CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]}


def _node() -> str:
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


# -- runs that could not say how they ended ------------------------------------------------------


def why(work: Work, code: int) -> str:
    """Return why a run ended with this code, as far as it can be known."""
    if code == -signal.SIGKILL:
        seen = "" if _ran_out_of_memory() else ", it seems"
        return f"out of memory{seen}: killed by SIGKILL"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    lines = _log(work).read_text(errors="replace").strip().splitlines()
    return redacted(lines[-1].removeprefix("dgmbench: ")) if lines else f"ended with code {code}"


def _ran_out_of_memory() -> bool:
    """Return whether the system has killed a process of this job for its memory (cgroup v2)."""
    with suppress(OSError, ValueError, IndexError):
        place = Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2]
        events = Path(f"/sys/fs/cgroup{place}/memory.events").read_text().split()
        return int(events[events.index("oom_kill") + 1]) > 0
    return False


def write_failure(work: Work, reason: str) -> None:
    """Give a run that ended without a word a record that says why.

    What it said itself stays, and a run that another process works on is left alone.
    """
    work.run.folder.mkdir(parents=True, exist_ok=True)
    with suppress(UserError, ValueError), work.run.locked():
        record = work.run.record() or Record(
            work.experiment, work.dataset, work.run_id, work.seed, "interrupted"
        )
        if record.status != "interrupted":
            return
        record.status, record.reason = "failed", reason
        record.method = record.method or work.method
        record.write(work.run.record_path)


def reached(work: Work) -> tuple[int, int]:
    """Return how far a run got: images seen at its newest checkpoint, and its evaluations."""
    checkpoints = [int(p.stem) for p in work.run.checkpoints.glob("[0-9]*.ckpt")]
    record = None
    with suppress(ValueError):
        record = work.run.record()
    return max(checkpoints, default=-1), 0 if record is None else len(record.evaluations)
