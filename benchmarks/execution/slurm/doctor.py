"""`dgmbench doctor --launcher NAME`: the questions of `doctor` on a node, and what only it knows.

GPUs that were asked for, exchange between processes, a file system that all nodes share, clocks.
"""

import json
import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

from benchmarks.core.errors import UserError, one_line
from benchmarks.core.files import write_atomically
from benchmarks.core.paths import check_writable
from benchmarks.execution.doctor import Finding, print_findings, run_checks
from benchmarks.execution.slurm import commands
from benchmarks.execution.slurm.commands import SlurmError
from benchmarks.execution.slurm.launcher import Launcher, load_launcher
from benchmarks.execution.slurm.leaving import job_name
from benchmarks.execution.slurm.submissions import PREFIX, submissions_dir
from benchmarks.execution.slurm.submit import sbatch, variables
from benchmarks.runs.state import tail
from lit_models.training.interruption import stop_if_asked

__all__ = ["DOCTOR", "REPORT", "doctor_as_job", "examine"]

POLL_SECONDS = 3.0
LATE_SECONDS = 60.0  # until a file of another node shows, on a file system that remembers absences
CLOCK_SECONDS = 120.0  # that clocks may differ
EXCHANGE_SECONDS = 60.0
DOCTOR = "doctor-"  # its folders, among those of submissions
REPORT = "report.json"
SHARED = "DGMBENCH_OUTPUTS must name a folder that all nodes share"


def doctor_as_job(name: str, overrides: Sequence[str], wait_minutes: float) -> int:
    """Submit a job that looks around, wait for it, and print what it found.

    Args:
        name: The name of the launcher, or its file.
        overrides: The overrides of the launcher.
        wait_minutes: For the job.

    Returns:
        0, or 1 where something must be mended.

    Raises:
        UserError: in SLURM's words, if it refuses; if the job has not ended in time.
    """
    if wait_minutes < 1:
        raise UserError(f"wait-minutes must be >= 1, got {wait_minutes}")
    wrong = [o for o in overrides if not o.startswith("launcher.")]
    if wrong:
        raise UserError(f"doctor takes overrides of the launcher only, got {wrong[0]!r}")
    launcher = load_launcher(name, overrides)
    launcher.check_cluster()
    folder = submissions_dir().resolve() / f"{DOCTOR}{secrets.token_hex(4)}"
    check_writable(folder)
    task = (str(folder), str(Path.cwd()), variables(), launcher.gpus_per_node)
    job_name = f"{PREFIX}{folder.name}"
    job = sbatch(examine, [task], folder, job_name, launcher)
    print(f"job {job} was submitted", flush=True)
    try:
        state = _wait(folder, job, job_name, wait_minutes, LATE_SECONDS)
    except BaseException:  # Ctrl-C as well
        commands.cancel([job])
        raise
    return print_findings(_read_report(folder, job, state, launcher))


def _wait(folder: Path, job: str, name: str, minutes: float, late: float) -> str:
    """Wait for the report, or some seconds longer than the job; return its last state."""
    end, told = time.monotonic() + 60 * minutes, ""
    gone_at: float | None = None
    while time.monotonic() < end:
        stop_if_asked()
        list(folder.iterdir())  # has some network file systems look again
        if (folder / REPORT).exists():
            return "COMPLETED"
        try:
            entry = next((e for e in commands.queue() if e.name == name), None)
        except SlurmError as error:  # the controller may be busy for a moment
            print(error, flush=True)
            time.sleep(POLL_SECONDS)
            continue
        text = f"{entry.state} {entry.reason} {entry.node}" if entry is not None else "gone"
        if text != told:
            print(f"job {job}: {text}", flush=True)
            told = text
        if entry is None or not entry.active:
            gone_at = gone_at or time.monotonic()
            if time.monotonic() > gone_at + late:
                return entry.state if entry is not None else "gone"
        time.sleep(POLL_SECONDS)
    raise UserError(f"job {job} did not end within {minutes:g} minutes ({told}); it was cancelled")


def _read_report(folder: Path, job: str, state: str, launcher: Launcher) -> list[Finding]:
    seen_at = time.time()
    if not (folder / REPORT).exists():
        log = folder / f"{job}_0_log.out"
        if log.exists():
            said = " | ".join(tail(log)) or "nothing"
            return [Finding("job", f"{state}, said: {said}", f"what {log} tells")]
        return [
            Finding(
                "shared outputs",
                f"job {job} ended ({state}) and left nothing in {folder}",
                SHARED,
            )
        ]
    values = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    findings = [Finding(**each) for each in values["findings"]]
    apart = abs(seen_at - values["time"])
    mend = "set the clocks of both machines" if apart > CLOCK_SECONDS else ""
    return [*findings, Finding("clock", f"within {max(apart, 1):.0f} s of this machine's", mend)]


# -- on the node ---------------------------------------------------------------------------------


def examine(folder: str, cwd: str, variables: dict[str, str], gpus: int) -> None:
    """Look around on a node; each process writes what it found, the first one the report.

    Args:
        folder: Where the report goes.
        cwd: Where the job was submitted.
        variables: DGMBENCH_* there.
        gpus: Asked for on each node.
    """
    with suppress(OSError):
        os.chdir(cwd)
    os.environ.update(variables)
    rank, count = (
        int(os.environ.get(f"SLURM_{key}", n)) for key, n in (("PROCID", 0), ("NTASKS", 1))
    )
    findings = [*_job(), *_gpus(gpus), *_scontrol()]
    if os.environ.get("SLURM_LOCALID", "0") == "0":  # once per node
        findings += run_checks()
    if rank != 0:
        _write(Path(folder), f"{rank}.json", findings)
    shared = list(_of_others(Path(folder), count)) if rank == 0 else []
    exchange = list(_exchange(gpus, count))
    if rank == 0:
        _write(Path(folder), REPORT, [*shared, *exchange, *findings])


def _write(folder: Path, name: str, findings: Sequence[Finding]) -> None:
    values = {"findings": [asdict(finding) for finding in findings], "time": time.time()}
    write_atomically(folder / name, json.dumps(values))


def _of_others(folder: Path, count: int) -> Iterator[Finding]:
    """Yield what the other processes found wrong, and which of them cannot be read from here."""
    end = time.monotonic() + LATE_SECONDS
    for rank in range(1, count):
        path = folder / f"{rank}.json"
        while not path.exists() and time.monotonic() < end:
            list(folder.iterdir())
            time.sleep(1.0)
        if not path.exists():
            found = f"process {rank} left nothing in {folder} that can be seen from the first"
            yield Finding("shared outputs", found, SHARED)
            continue
        for values in json.loads(path.read_text(encoding="utf-8"))["findings"]:
            if values["mend"]:
                yield Finding(**{**values, "what": f"process {rank}: {values['what']}"})
    yield Finding("shared outputs", f"the job reads and writes {folder}")


def _scontrol() -> Iterator[Finding]:
    """A job asks for its own state, and queues itself again."""
    job = job_name()
    if job is None:
        return
    try:
        yield Finding("scontrol", f"answers on the node: {commands.job_info(job).state}")
    except SlurmError as error:
        yield Finding("scontrol", str(error), "SLURM's commands on the node, in the container too")


def _job() -> Iterator[Finding]:
    nodes = os.environ.get("SLURM_JOB_NODELIST", "?")
    tasks = os.environ.get("SLURM_NTASKS", "1")
    yield Finding("job", f"{tasks} process(es) on {nodes}, {sys.executable}")


def _gpus(wanted: int) -> Iterator[Finding]:
    import torch  # lazily: on the node only

    found = torch.cuda.device_count()
    if wanted:
        mend = "a driver and a PyTorch that fit each other on the node" if found < wanted else ""
        yield Finding("GPUs of the job", f"{found} of {wanted} that were asked for", mend)


def _exchange(gpus: int, count: int) -> Iterator[Finding]:
    """Let all processes of the job add up, over NCCL with GPUs, else over gloo."""
    # lazily: on the node only
    import torch
    import torch.distributed as dist
    from lightning.pytorch.plugins.environments import SLURMEnvironment

    if count == 1:
        return
    place = SLURMEnvironment(auto_requeue=False)
    backend = "nccl" if gpus and torch.cuda.is_available() else "gloo"
    try:
        dist.init_process_group(
            backend,
            init_method=f"tcp://{place.main_address}:{place.main_port}",
            rank=place.global_rank(),
            world_size=count,
            timeout=timedelta(seconds=EXCHANGE_SECONDS),
        )
        device = torch.device("cuda", place.local_rank()) if backend == "nccl" else "cpu"
        total = torch.ones(1, device=device)
        dist.all_reduce(total)
        dist.destroy_process_group()
    except (RuntimeError, ValueError) as error:
        yield Finding(
            f"exchange ({backend})", one_line(error), "the network between the nodes, MASTER_PORT"
        )
        return
    yield Finding(f"exchange ({backend})", f"{total.item():.0f} of {count} processes added up")
