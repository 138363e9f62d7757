"""What a job does: its runs, each in a process of its own, and how they ended.

Every process of a job does this. The first one takes notes, writes what a run that died could not
say itself, and decides at the end (`leaving`). Processes of one run tell each other when theirs
has failed, by a file: the others would wait for it in an exchange.
"""

import json
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

from benchmarks.core.environment import LOOKED_AFTER, child_environment
from benchmarks.core.files import write_atomically
from benchmarks.execution.slurm import commands
from benchmarks.execution.slurm.commands import SlurmError
from benchmarks.execution.slurm.leaving import job_name, leave, near_limit
from benchmarks.execution.slurm.outcome import (
    log_of,
    reached,
    record_of,
    reopen,
    why,
    write_failure,
)
from benchmarks.execution.slurm.staging import stage
from benchmarks.execution.slurm.submissions import Submission, Work
from lit_models.training.interruption import EXIT_CODE, SIGNALS, requested, signals_noted

__all__ = ["Job", "run_task"]

POLL_SECONDS = 0.2
RETRY_SECONDS, MOST_TRIES = 5.0, 60  # while a process of an earlier life still has a run
PEER_SECONDS = 15.0  # for another process to say that it failed, and for one to end
IDLE_LIVES, IDLE_LIVES_AT_LIMIT = 5, 2  # without progress, after which a run has failed
IN_USE, LOST = " is in use by ", "has not answered"  # in what runs say


def run_task(folder: str, task: int) -> None:
    """Do a task of an array; the process ends here.

    submitit, which calls this, would take the signals itself and report a result that nobody
    reads.

    Args:
        folder: The folder of the submission.
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
    """A run at work.

    Attributes:
        work: The run.
        process: The process at work.
        log: Where that writes.
        slot: The number of the run among those side by side.
        began_at: How far the run was.
        peer: What another process of the job said when it failed.
    """

    work: Work
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    slot: int
    began_at: tuple[int, int]
    peer: str | None = None


class Job:
    """One life of a job.

    Args:
        folder: The folder of its submission.
        task: The number of the job in the array.
    """

    def __init__(self, folder: Path, task: int) -> None:
        self.submission, self.task = Submission.read(folder), task
        self.rank = int(os.environ.get("SLURM_PROCID", "0"))
        self.first = self.rank == 0
        self.alone = int(os.environ.get("SLURM_NTASKS", "1")) == 1
        self.notes = self.submission.notes(task)
        self.waiting, self.running, self.stopped = list[Work](), list[Process](), list[Process]()
        self.tries: dict[str, int] = {}
        self.not_before: dict[str, float] = {}
        self.progressed = False
        with suppress(OSError):  # not every node has the folder it was submitted from
            os.chdir(self.submission.cwd)
        os.environ.update(self.submission.variables)

    def run(self) -> int:
        """Do the runs that are left; return the exit code."""
        self._begin()
        works = [w for w in self.submission.jobs[self.task] if w.name not in self.notes.ended]
        # only a training is the work of several processes
        self.waiting = [w for w in works if self.first or w.command[0] == "train"]
        files = [f for w in works for f in w.files]
        environment = {**child_environment(), **stage(self.submission.stage_to, files)}
        environment |= {"PYTHONUNBUFFERED": "1", LOOKED_AFTER: "1"}
        environment.setdefault("WANDB_MODE", "offline")  # nodes may have no internet
        self._work_through(environment)
        if not self.first:
            return 0  # the step's code is that of the first
        if self.stopped or self.waiting:
            return self._leave()
        self.notes.left = "done"
        self._write_notes()
        return 1 if any(self.notes.ended.values()) else 0

    def _begin(self) -> None:
        before, self.notes.node = self.notes.node, _node()
        self.notes.job = job_name() or ""
        self.notes.lives, self.notes.left, self.notes.began = self.notes.lives + 1, None, {}
        self._write_notes()
        if before and self.first:
            print(f"life {self.notes.lives} on {self.notes.node}, after {before}", flush=True)

    def _work_through(self, environment: dict[str, str]) -> None:
        """Run all, so many at once, until one was stopped or all have ended."""
        while (self.waiting or self.running) and not self.stopped and requested() is None:
            self._start_what_can(environment)
            for each in list(self.running):
                if each.process.poll() is not None:
                    self.running.remove(each)
                    self._judge(each)
                elif (peer := self._said_by_peer(each.work)) is not None:
                    each.peer = peer
                    self._end(each)
            time.sleep(POLL_SECONDS)
        for each in self.running:
            each.process.send_signal(signal.SIGTERM)
        for each in self.running:
            each.process.wait()
            self._judge(each)
        self.running.clear()

    def _start_what_can(self, environment: dict[str, str]) -> None:
        now, most = time.monotonic(), self.submission.side_by_side
        for work in [w for w in self.waiting if self.not_before.get(w.name, 0) <= now]:
            if len(self.running) == most:
                return
            self.waiting.remove(work)
            slot = min(set(range(most)) - {p.slot for p in self.running})
            self.running.append(self._start(work, slot, {**environment, **_gpu_of(slot, most)}))

    def _start(self, work: Work, slot: int, environment: dict[str, str]) -> Process:
        work.run.folder.mkdir(parents=True, exist_ok=True)
        began_at = reached(work)
        self.notes.began[work.name] = list(began_at)
        self._write_notes()
        log = log_of(work).open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks", *work.command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        return Process(work, process, log, slot, began_at)

    def _end(self, each: Process) -> None:
        """End a process that may hang in an exchange with one that has failed."""
        each.process.terminate()
        try:
            each.process.wait(PEER_SECONDS)
        except subprocess.TimeoutExpired:
            each.process.kill()
            each.process.wait()

    # -- how a run ended ---------------------------------------------------------------------

    def _judge(self, each: Process) -> None:
        """Note how a run ended, or that it is to go on."""
        each.log.close()
        code, name = each.process.returncode, each.work.name
        if each.peer is None and _was_stopped(code):
            self.stopped.append(each)
            return
        reason = each.peer or (why(each.work, code) if code else None)
        if reason is not None and self.alone and IN_USE in reason and self._may_try_again(name):
            self.waiting.append(each.work)
            return
        if reason is not None and not self.alone:
            reason = self._agree(each, reason)
            if reason is None:
                self.stopped.append(each)
                return
        print(f"{each.work.label}: ended with code {code}", flush=True)
        if self.first and reason is not None:
            write_failure(each.work, reason)
        self.progressed = True
        self.notes.ended[name] = code if each.peer is None else 1
        self._write_notes()

    def _may_try_again(self, name: str) -> bool:
        """Return whether to wait for who has a run.

        A node that the controller takes for dead may live; it ends its jobs when it hears of it.
        """
        self.tries[name] = self.tries.get(name, 0) + 1
        self.not_before[name] = time.monotonic() + RETRY_SECONDS
        return self.tries[name] <= MOST_TRIES

    def _agree(self, each: Process, reason: str) -> str | None:
        """Return why a run of several processes failed; None if one of them was lost.

        A process whose run failed says so to the others. If one is silent and none has said
        anything, its node is gone, and the run goes on in the next life.
        """
        record = record_of(each.work)
        if LOST not in f"{reason} {record.reason if record is not None else ''}":
            self._tell_peers(each.work, reason)
            return reason
        end = time.monotonic() + PEER_SECONDS
        while time.monotonic() < end:
            said = self._said_by_peer(each.work)
            if said is not None:
                reopen(each.work, said)  # "rank 1 has not answered" is not why
                return said
            time.sleep(POLL_SECONDS)
        if self.first:
            reopen(each.work, "a process of its job was lost")
        return None

    def _tell_peers(self, work: Work, reason: str) -> None:
        if not self._peers_path(work).exists():
            said = reason if self.first else f"process {self.rank}: {reason}"
            values = {"rank": self.rank, "reason": said}
            write_atomically(self._peers_path(work), json.dumps(values))

    def _said_by_peer(self, work: Work) -> str | None:
        """Return what another process of this life said of its failure."""
        if self.alone:
            return None
        try:
            values = json.loads(self._peers_path(work).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return None if values["rank"] == self.rank else str(values["reason"])

    def _peers_path(self, work: Work) -> Path:
        life = os.environ.get("SLURM_RESTART_COUNT", "0")
        number = self.submission.jobs[self.task].index(work)
        return self.submission.folder / f"{self.task}.{life}.{number}.failed"

    # -- the end of this life ----------------------------------------------------------------

    def _leave(self) -> int:
        """Decide what becomes of a job that was told to end."""
        info = None
        with suppress(SlurmError):
            info = commands.job_info(self.notes.job)
        at_limit = info is not None and near_limit(info, self.submission.signal_seconds)
        moved = self.progressed or any(p.began_at != reached(p.work) for p in self.stopped)
        self.notes.idle = 0 if moved else self.notes.idle + 1
        if self.notes.idle >= (IDLE_LIVES_AT_LIMIT if at_limit else IDLE_LIVES):
            code, self.notes.left = 1, self._give_up(at_limit)
        else:
            code, self.notes.left = leave(self.notes.job, info)
        print(f"{requested() or 'stopped'}: {self.notes.left}", flush=True)
        self._write_notes()
        return code

    def _give_up(self, at_limit: bool) -> str:
        """Fail the runs that get nowhere, life after life; return why."""
        reason = f"no progress in {self.notes.idle} lives of a job"
        if at_limit:
            reason = f"time limit: {reason} of {self.submission.time_minutes} minutes"
        for each in self.stopped:
            write_failure(each.work, reason)
            self.notes.ended[each.work.name] = 1
        return reason

    def _write_notes(self) -> None:
        if self.first:
            self.notes.write(self.submission.notes_path(self.task))


def _was_stopped(code: int) -> bool:
    """Return whether a run ended since it, or the job, was told to; it goes on some time."""
    return code == EXIT_CODE or (requested() is not None and -code in SIGNALS)


def _gpu_of(slot: int, side_by_side: int) -> dict[str, str]:
    """Deal out the GPUs of the job to runs side by side."""
    gpus = [g for g in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if g]
    if side_by_side == 1 or len(gpus) < 2:
        return {}
    return {"CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]}


def _node() -> str:
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()
