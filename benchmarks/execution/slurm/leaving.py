"""How a job ends that was told to: one process, and nobody else, puts it into the queue again."""

import os
import signal
import time
from contextlib import suppress

from benchmarks.core.environment import LOOKED_AFTER, is_first_process
from benchmarks.execution.slurm import commands
from benchmarks.execution.slurm.commands import JobInfo, SlurmError
from lit_models.training.interruption import EXIT_CODE

__all__ = ["job_name", "leave", "leave_own_job", "near_limit"]

TRIES, TRY_SECONDS = 3, 5.0
LONGEST_NOTICE_SECONDS = 300.0  # of a time limit, in scripts of users
ENDED_FOR_GOOD = ("CANCELLED", "DEADLINE", "COMPLETED", "FAILED", "REVOKED", "OUT_OF_MEMORY")
RUNS_AGAIN = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "PREEMPTED", "NODE_FAIL", "SPECIAL_EXIT")


def job_name() -> str | None:
    """Return the job that this process is in, "12" or "12_3"; None outside of one."""
    array, task = (os.environ.get(f"SLURM_ARRAY_{key}_ID") for key in ("JOB", "TASK"))
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def near_limit(info: JobInfo, signal_seconds: float) -> bool:
    """Return whether a job was told to end for its time limit; SLURM may do so a minute early."""
    if info.seconds_left is None or info.state not in ("RUNNING", "COMPLETING"):
        return False
    early = signal_seconds + 75 if info.state == "RUNNING" else 0
    return info.seconds_left <= early


def leave(job: str, info: JobInfo | None = None) -> tuple[int, str]:
    """Put the job into the queue again unless SLURM has decided already.

    All must be saved: SLURM ends the job's processes.

    Args:
        job: "12" or "12_3".
        info: What SLURM says of it, where it was asked already.

    Returns:
        The exit code, 0 for a job that runs again; and in words what was done.
    """
    said = ""
    for attempt in range(TRIES):  # the controller may be busy for a moment
        if attempt:
            time.sleep(TRY_SECONDS)
        try:
            return _decide(job, info if info and not attempt else commands.job_info(job))
        except SlurmError as error:
            said = str(error)
    return EXIT_CODE, f"stopped; {said}"


def _decide(job: str, info: JobInfo) -> tuple[int, str]:
    if info.restarts > int(os.environ.get("SLURM_RESTART_COUNT") or 0):
        return 0, "queued again by SLURM"
    if info.state in RUNS_AGAIN:
        return 0, f"queued again by SLURM ({info.state})"
    if info.state in ENDED_FOR_GOOD or _is_being_ended(info):
        return EXIT_CODE, "cancelled"
    if not info.batch or not info.requeue:
        return EXIT_CODE, "stopped; this job may not be queued again"
    commands.requeue(job)
    return 0, "queued again"


def _is_being_ended(info: JobInfo) -> bool:
    """Return whether somebody ends the job: SLURM shows no more of it than that it completes.

    At its time limit it may still go back into the queue.
    """
    late = info.seconds_left is not None and info.seconds_left <= 0
    return info.state == "COMPLETING" and not late


def leave_own_job(reason: str) -> tuple[int, str] | None:
    """Do the same in a job that this process is the only one of ours to look after.

    Such is a job script of the user's own. A SIGTERM that does not come from SLURM ends this
    process alone.

    Args:
        reason: The signal.

    Returns:
        As `leave`; None outside of a job, where the parent does so, and where the job goes on.
    """
    job = job_name()
    if job is None or LOOKED_AFTER in os.environ:
        return None
    if not is_first_process():
        return 0, "the first process decides"
    info = None
    with suppress(SlurmError):
        info = commands.job_info(job)
    if reason == "SIGTERM" and info is not None and _goes_on(info):
        return None
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # loggers still close
    return leave(job, info)


def _goes_on(info: JobInfo) -> bool:
    """Return whether SLURM does not mean to end a job."""
    told = info.preempted or near_limit(info, LONGEST_NOTICE_SECONDS)
    return info.state == "RUNNING" and not told
