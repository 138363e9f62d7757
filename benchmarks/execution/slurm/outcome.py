"""What became of a run that could not say so itself."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from benchmarks.core.errors import UserError
from benchmarks.core.redaction import redacted
from benchmarks.execution.slurm.submissions import Work
from benchmarks.runs.record import Record, Status

__all__ = ["log_of", "reached", "record_of", "reopen", "why", "write_failure"]


def log_of(work: Work) -> Path:
    """Return where this process of a job lets a run write."""
    rank = os.environ.get("SLURM_PROCID", "0")
    return work.run.folder / ("run.log" if rank == "0" else f"run.{rank}.log")


def record_of(work: Work) -> Record | None:
    """Return the record of a run; None where there is none that can be read."""
    with suppress(ValueError):
        return work.run.record()
    return None


def reached(work: Work) -> tuple[int, int]:
    """Return how far a run got: images seen at its newest checkpoint, and its evaluations."""
    checkpoints = [int(p.stem) for p in work.run.checkpoints.glob("[0-9]*.ckpt")]
    record = record_of(work)
    return max(checkpoints, default=-1), 0 if record is None else len(record.evaluations)


def why(work: Work, code: int) -> str:
    """Return why a run ended with this code, as far as it can be known."""
    if code == -signal.SIGKILL:
        seen = "" if _ran_out_of_memory() else ", it seems"
        return f"out of memory{seen}: killed by SIGKILL"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    lines = log_of(work).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return redacted(lines[-1].removeprefix("dgmbench: ")) if lines else f"ended with code {code}"


def _ran_out_of_memory() -> bool:
    """Return whether the system has killed a process of this job for its memory (cgroup v2)."""
    with suppress(OSError, ValueError, IndexError):
        place = Path("/proc/self/cgroup").read_text(encoding="utf-8").strip().rpartition("::")[2]
        events = Path(f"/sys/fs/cgroup{place}/memory.events").read_text(encoding="utf-8").split()
        return int(events[events.index("oom_kill") + 1]) > 0
    return False


def write_failure(work: Work, reason: str, gone: bool = False) -> None:
    """Give a run that ended without a word a record that says why.

    What it said itself stays, and a run that another process works on is left alone.

    Args:
        work: The run.
        reason: Why.
        gone: Whether its job is gone, and with it who held the run; one that lives on after all
            finds its lease lost and ends.
    """
    work.run.folder.mkdir(parents=True, exist_ok=True)
    owner = work.run.owner()
    if gone and owner is not None and owner.is_dead_here() is None:
        work.run.lock_path.unlink(missing_ok=True)
    _change(work, "interrupted", "failed", reason)


def reopen(work: Work, reason: str) -> None:
    """Let a run that failed since its job broke count as interrupted."""
    _change(work, "failed", "interrupted", reason)


def _change(work: Work, before: Status, after: Status, reason: str) -> None:
    with suppress(UserError, ValueError), work.run.locked():
        record = work.run.record() or Record(
            work.experiment, work.dataset, work.run_id, work.seed, before
        )
        if record.status != before:
            return
        record.status, record.reason = after, reason
        record.method = record.method or work.method
        record.write(work.run.record_path)
