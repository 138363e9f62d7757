"""Runs side by side, one process each, with progress and time left."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import IO

from benchmarks.config.compose import compose
from benchmarks.core.environment import LOOKED_AFTER, child_environment
from benchmarks.core.errors import UserError
from benchmarks.core.parent import PARENT
from benchmarks.runs.folder import clock
from benchmarks.runs.record import Record, bound_sign
from benchmarks.runs.state import is_held, tail
from benchmarks.tables.plan.estimate import Rates
from benchmarks.tables.plan.plan import Plan
from benchmarks.tables.plan.planned_run import Key, PlannedRun
from benchmarks.tables.spec import TableSpec
from lit_models.training.interruption import EXIT_CODE, stop_if_asked

__all__ = ["LocalExecutor", "default_jobs", "run_all"]

POLL_SECONDS = 0.5
LINE_EVERY_SECONDS = 15.0  # where the output is no terminal
STARTUP_SECONDS = 6.0  # of a process, with its evaluation


@dataclass
class RunProcess:
    """A process at work on a planned run."""

    planned: PlannedRun
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since its start."""
        return time.monotonic() - self.began


@dataclass(frozen=True)
class LocalExecutor:
    """Does the runs of a table in processes on this machine.

    Attributes:
        overrides: What is passed on to every run.
        jobs: Number of runs side by side.

    Raises:
        UserError: if jobs < 1.
    """

    overrides: Sequence[str]
    jobs: int

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise UserError(f"jobs must be >= 1, got {self.jobs}")

    def prepare(self, plan: Plan, published: bool) -> None:
        """Do nothing: a run here keeps its own record."""

    def describe(self, missing: Sequence[PlannedRun]) -> Sequence[str]:
        return ()

    def run(self, ready: Sequence[PlannedRun], rates: Rates) -> list[str]:
        return run_all(ready, self.overrides, self.jobs, rates)

    def at_work(self) -> Collection[Key]:
        return ()

    def closing(self) -> Sequence[str]:
        return ()


def default_jobs(spec: TableSpec, overrides: Sequence[str]) -> int:
    """Return how many runs go side by side: one per core, or one where each takes the GPUs."""
    cores = len(os.sched_getaffinity(0))
    if spec.first_experiment is None:
        return cores
    cfg = compose([f"experiment={spec.first_experiment}", *overrides]).cfg
    return 1 if cfg.trainer.accelerator in ("gpu", "cuda") else cores


def run_all(
    planned: Sequence[PlannedRun],
    overrides: Sequence[str],
    jobs: int,
    rates: Rates | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Run all; return one line for each run that left no result.

    A signal ends the processes, each with a checkpoint, and the same command continues; so does
    the end of this process, whatever that was. A run that another process is at, such as one that
    is still saving after that, is waited for.

    Args:
        planned: The runs.
        overrides: Passed on to every run.
        jobs: Processes side by side.
        rates: What runs of these kinds have cost before, for the time left.
        is_over: Asked again and again; once it says yes, all are ended as by a signal.

    Raises:
        Interrupted: after a signal, once all have ended.
    """
    waiting, running = list(planned), list[RunProcess]()
    failed: list[str] = []
    told = set[Key]()
    known = dict(rates or {})
    display = Display(len(planned))
    try:
        while (waiting or running) and not is_over():
            stop_if_asked()
            while len(running) < jobs and (chosen := _next(waiting, told)) is not None:
                waiting.remove(chosen)
                running.append(_start(chosen, overrides))
            for job in [j for j in running if j.process.poll() is not None]:
                running.remove(job)
                job.log.close()
                if is_held(job.planned.run):  # another process was quicker
                    waiting.append(job.planned)
                    continue
                if job.planned.images_seen:
                    known[_kind(job.planned)] = job.seconds / job.planned.images_seen
                display.ended(_outcome(job, failed), len(failed))
            display.show(running, waiting, known, jobs)
            time.sleep(POLL_SECONDS)
    finally:
        display.clear()
        for job in running:
            job.process.terminate()
        for job in running:
            job.process.wait()
            job.log.close()
    return failed


def _next(waiting: Sequence[PlannedRun], told: set[Key]) -> PlannedRun | None:
    """Return the first run that no other process is at; say, once, of which it is waited for."""
    for planned in waiting:
        if not is_held(planned.run):
            return planned
        if planned.key not in told:
            told.add(planned.key)
            print(f"{planned.label} is at work elsewhere, waited for: {planned.run.owner()}")
    return None


def _start(planned: PlannedRun, overrides: Sequence[str]) -> RunProcess:
    folder = planned.run.folder
    folder.mkdir(parents=True, exist_ok=True)
    planned.run.progress_path.unlink(missing_ok=True)
    log = (folder / "run.log").open("ab")
    command = [sys.executable, "-m", "benchmarks", *planned.command(overrides)]
    about = {"PYTHONUNBUFFERED": "1", LOOKED_AFTER: "1", PARENT: str(os.getpid())}
    environment = {**child_environment(), **about}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment
    )
    return RunProcess(planned, process, log)


def _outcome(job: RunProcess, failed: list[str]) -> str:
    """Describe an ended run in one line; note it where it left no result."""
    planned = job.planned
    try:
        record = planned.run.record()
    except ValueError as error:
        failed.append(f"{planned.label} failed: {error}")
        return failed[-1]
    if record is None or not planned.is_done(record, retry=("failed",)):
        if job.process.returncode == EXIT_CODE:
            failed.append(f"{planned.label} was stopped by a signal; the same command continues")
            return failed[-1]
        log = planned.run.folder / "run.log"
        last = (tail(log, 1, None) or ("no output",))[-1]
        why = record.reason if record is not None and record.status == "failed" else last
        failed.append(f"{planned.label} failed: {why} ({log})")
        return failed[-1]
    return f"{planned.label}: {_scores(record)} ({job.seconds:.0f} s)"


def _scores(record: Record) -> str:
    if record.status == "diverged":
        return f"diverged: {record.reason}"
    values: dict[str, str] = {}  # a metric of two protocols is told with each
    for evaluation in record.evaluations:
        for name, value in evaluation.metrics.items():
            if value is not None:
                key = name if name not in values else f"{evaluation.protocol} {name}"
                values[key] = f"{key} {bound_sign(evaluation, name)}{value:.5g}"
    return ", ".join(values.values())


class Display:
    """One line that is drawn again, or, where the output is no terminal, now and then a line."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.failed = total, 0, 0
        self.terminal = sys.stdout.isatty()
        self.began = self._last = time.monotonic()

    def ended(self, text: str, failed: int) -> None:
        """Print a line that stays."""
        self.done, self.failed = self.done + 1, failed
        self.clear()
        print(f"[{self.done}/{self.total}] {text}", flush=True)

    def show(
        self,
        running: Sequence[RunProcess],
        waiting: Sequence[PlannedRun],
        rates: Rates,
        jobs: int,
    ) -> None:
        """Draw the state of the running jobs and the time left in all."""
        now = time.monotonic()
        if not running or (not self.terminal and now - self._last < LINE_EVERY_SECONDS):
            return
        self._last = now
        parts = []
        for job in running:
            done, left = job.planned.run.progress()
            parts.append(f"{job.planned.label} {done:.0%}" + (f" {clock(left)}" if left else ""))
        total = _time_left(running, waiting, rates, jobs)
        failed = f", {self.failed} failed" if self.failed else ""
        text = f"[{self.done}/{self.total}{failed}] {' | '.join(parts)} | {total}"
        if self.terminal:
            width = os.get_terminal_size().columns - 1
            print("\r\x1b[K" + text[:width], end="", flush=True)
        else:
            print(text, flush=True)

    def clear(self) -> None:
        """Remove the line."""
        if self.terminal:
            print("\r\x1b[K", end="", flush=True)


def _time_left(
    running: Sequence[RunProcess], waiting: Sequence[PlannedRun], rates: Rates, jobs: int
) -> str:
    """Estimate the rest: what the running report, and what others of their kind cost.

    A kind that was never measured is taken to cost the mean per image of the others.
    """
    lefts = [(job, job.planned.run.progress()[1]) for job in running]
    known = [left for _, left in lefts if left is not None]
    now = {
        _kind(job.planned): (job.seconds + left) / job.planned.images_seen
        for job, left in lefts
        if left is not None and job.planned.images_seen
    }
    by_kind = {**rates, **now}
    if not by_kind:
        return "time left: not known yet"
    mean = sum(by_kind.values()) / len(by_kind)
    unknown = [job.planned for job, left in lefts if left is None]
    ahead = [
        STARTUP_SECONDS + by_kind.get(_kind(run), mean) * run.images_seen
        for run in (*waiting, *unknown)
    ]
    return f"about {clock(max(sum(known + ahead) / jobs, max(known, default=0.0)))} left"


def _kind(planned: PlannedRun) -> tuple[str, str]:
    return (planned.experiment, planned.dataset)
