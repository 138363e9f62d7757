"""The commands of SLURM: questions and answers, each in one place."""

import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.core.errors import UserError

__all__ = [
    "Entry",
    "JobInfo",
    "Partition",
    "SlurmError",
    "cancel",
    "check_options",
    "ended_states",
    "has_slurm",
    "job_info",
    "max_array_size",
    "outside_of_jobs",
    "partitions",
    "queue",
    "requeue",
]

PATIENCE_SECONDS = 60.0
IDS_PER_CALL = 500  # on a command line
FILTERS = ("SQUEUE_", "SACCT_", "SINFO_", "SCANCEL_")  # variables that change what is answered
ENDED = (  # states in which a job does not run again by itself
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
)


class SlurmError(UserError):
    """SLURM refused, or did not answer; the message is its own."""


@dataclass(frozen=True)
class Entry:
    """A job, or a task of an array, as the queue shows it.

    Attributes:
        name: The name of the job.
        job: "12", or "12_3" of an array.
        task: Number in the array; 0 outside of one.
        state: In SLURM's words.
        reason: Why it waits, in SLURM's words.
        node: Where it runs, or "".
        time_left: The time that is left of its limit.
    """

    name: str
    job: str
    task: int
    state: str
    reason: str
    node: str
    time_left: str

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.state not in ENDED


@dataclass(frozen=True)
class JobInfo:
    """What SLURM says of a job.

    Attributes:
        state: In SLURM's words.
        requeue: Whether it may be queued again.
        batch: Whether it has a script that can be run again.
        restarts: How often it was started again, or will be.
        seconds_left: Until its limit; None without one.
        preempted: Whether it was told to make room.
    """

    state: str
    restarts: int
    requeue: bool
    batch: bool
    seconds_left: float | None
    preempted: bool = False


@dataclass(frozen=True)
class Partition:
    """What a node of a partition has at most, and the longest time of a job.

    Attributes:
        name: The name of the partition.
        default: Whether jobs go there that name none.
        gpus: Per node.
        cpus: Per node.
        nodes: The number of nodes.
        minutes: Longest time; None without a limit.
    """

    name: str
    default: bool
    gpus: int
    cpus: int
    nodes: int
    minutes: int | None


def has_slurm() -> bool:
    """Return whether this machine can submit jobs."""
    return shutil.which("sbatch") is not None


def queue(users: Collection[int] = ()) -> list[Entry]:
    """Return the jobs of users, those that have just ended too; one call.

    Args:
        users: The numbers of the users (names may be those of another system); none for this
            process's.

    Raises:
        SlurmError: if SLURM does not answer.
    """
    layout = "%j|%F|%K|%T|%N|%L|%r"
    who = f"--user={','.join(map(str, sorted(users or [os.getuid()])))}"
    text = _ask("squeue", "-h", "-a", "-r", "-t", "all", who, "-o", layout)
    return [_entry(line) for line in text.splitlines() if line.count("|") >= 6]


def _entry(line: str) -> Entry:
    name, job, task, state, node, left, reason = line.rsplit("|", 6)
    in_array = task.isdecimal()
    return Entry(
        name,
        f"{job}_{task}" if in_array else job,
        int(task) if in_array else 0,
        state,
        reason,
        node,
        left,
    )


def ended_states(jobs: Collection[str]) -> dict[str, str]:
    """Return the last states of jobs from the accounting; what it does not know is left out."""
    found: dict[str, str] = {}
    if not jobs or shutil.which("sacct") is None:
        return found
    wanted = sorted({job.split("_")[0] for job in jobs})
    for some in _parts(wanted):
        try:
            text = _ask("sacct", "-X", "-n", "-P", "-j", ",".join(some), "-o", "JobID,State")
        except SlurmError:
            return found  # no accounting on this cluster
        for line in text.splitlines():
            name, _, state = line.partition("|")
            found |= dict.fromkeys(_tasks(name), state.split()[0] if state else "UNKNOWN")
    # of an array none of which began, sacct may show the bare number
    states = {job: found.get(job) or found.get(job.partition("_")[0]) for job in jobs}
    return {job: state for job, state in states.items() if state}


def _tasks(name: str) -> list[str]:
    """Return the jobs of a name: itself, or of "12_[0-2,7%4]", tasks that never began, each."""
    job, bracket, ranges = name.rstrip("]").partition("_[")
    if not bracket:
        return [name]
    found = []
    for part in ranges.partition("%")[0].split(","):
        first, _, last = part.partition("-")
        found += [f"{job}_{task}" for task in range(int(first), int(last or first) + 1)]
    return found


def cancel(jobs: Sequence[str]) -> None:
    """Cancel jobs."""
    for some in _parts(jobs):
        _ask("scancel", *some)


def job_info(job: str) -> JobInfo:
    """Return what SLURM says of a job.

    Raises:
        SlurmError: if it does not know it, or does not answer.
    """
    text = _ask("scontrol", "show", "job", "-o", job)
    fields = dict(re.findall(r"(\w+)=(\S*)", text.splitlines()[0]))
    limit, ran = (_seconds(fields.get(key, "")) for key in ("TimeLimit", "RunTime"))
    return JobInfo(
        fields.get("JobState", "UNKNOWN"),
        int(fields.get("Restarts") or 0),
        fields.get("Requeue") == "1",
        fields.get("BatchFlag") not in (None, "0"),
        None if limit is None or ran is None else limit - ran,
        fields.get("PreemptTime", "None") not in ("None", "Unknown"),
    )


def requeue(job: str) -> None:
    """Put a job, or a task of an array, into the queue again; what it runs is ended."""
    _ask("scontrol", "requeue", job)


def partitions() -> list[Partition]:
    """Return the partitions, one entry for each kind of node; one call."""
    text = _ask("sinfo", "-a", "-h", "-o", "%P|%G|%c|%D|%l")
    found = []
    for line in text.splitlines():
        name, gres, cpus, nodes, limit = line.split("|")
        gpus = sum(map(int, re.findall(r"\bgpu:(?:[^:,()]+:)?(\d+)", gres)))
        seconds = _seconds(limit)
        found.append(
            Partition(
                name.rstrip("*"),
                name.endswith("*"),
                gpus,
                int(re.sub(r"\D", "", cpus) or 0),
                int(re.sub(r"\D", "", nodes) or 0),
                None if seconds is None else int(seconds // 60),
            )
        )
    return found


def check_options(options: Sequence[str]) -> None:
    """Let SLURM check what a job would ask for.

    Raises:
        SlurmError: in SLURM's words, if it refuses.
    """
    with outside_of_jobs():
        _ask("sbatch", "--test-only", *options, "--wrap", "true")


def max_array_size() -> int:
    """Return the largest number of tasks of an array (MaxArraySize - 1 is the highest index)."""
    found = re.search(r"MaxArraySize\s*=\s*(\d+)", _ask("scontrol", "show", "config"))
    return max(int(found[1]), 1) if found else 1001


@contextmanager
def outside_of_jobs() -> Iterator[None]:
    """Hide variables that sbatch takes for options: those of a job that this process may be in.

    SBATCH_*, too, which would win over a script's own lines. Which cluster it is stays.
    """
    kept = ("SLURM_CONF", "SLURM_CLUSTERS")
    hidden = {k: v for k, v in os.environ.items() if _is_of_job(k) and k not in kept}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


def _is_of_job(name: str) -> bool:
    return name.startswith(("SLURM_", "SUBMITIT_", "SRUN_", "SBATCH_"))


def _parts(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for i in range(0, len(items), IDS_PER_CALL):
        yield items[i : i + IDS_PER_CALL]


def _seconds(text: str) -> float | None:
    """Return the seconds of [days-]hours:minutes:seconds; None for no limit."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(?:(\d+):)?(\d+):)?(\d+)", text)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return 86400 * days + 3600 * hours + 60 * minutes + seconds


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            env={k: v for k, v in os.environ.items() if not k.startswith(FILTERS)},
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise SlurmError(
            f"there is no SLURM on this machine: {command[0]} is not on the PATH"
        ) from None
    except subprocess.TimeoutExpired:
        raise SlurmError(
            f"SLURM did not answer within {PATIENCE_SECONDS:g} s ({command[0]})"
        ) from None
    if done.returncode != 0:
        words = " ".join((done.stderr or done.stdout).split())
        raise SlurmError(f"SLURM refused: {words or f'{command[0]} ended with no word'}")
    return done.stdout
