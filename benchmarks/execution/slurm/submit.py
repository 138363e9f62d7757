"""Runs into the queue: as few arrays as possible, and nothing twice."""

import os
import secrets
import shlex
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.core.environment import LOOKED_AFTER, import_places
from benchmarks.core.errors import UserError, one_line
from benchmarks.core.paths import check_writable, outputs_dir
from benchmarks.execution.slurm import commands
from benchmarks.execution.slurm.job import run_task
from benchmarks.execution.slurm.launcher import Launcher, load_launcher, trainer_overrides
from benchmarks.execution.slurm.outcome import reached, write_failure
from benchmarks.execution.slurm.queue import in_queue, places
from benchmarks.execution.slurm.state import gone_jobs
from benchmarks.execution.slurm.submissions import Submission, Work, submissions_dir
from benchmarks.runs.lock import held
from benchmarks.tables.plan.estimate import Rates
from benchmarks.tables.plan.plan import Plan
from benchmarks.tables.plan.planned_run import PlannedRun
from benchmarks.tables.spec import TableSpec
from datamodules.root import data_root

__all__ = ["ClusterExecutor", "sbatch", "submit", "submit_array", "variables"]

FOR_GOOD = {  # what SLURM says -> reason of a failure; the same again would end the same way
    "TIMEOUT": "time limit",
    "DEADLINE": "time limit",
    "OUT_OF_MEMORY": "out of memory",
}


@dataclass(frozen=True)
class ClusterExecutor:
    """Hands the runs of a table to SLURM; it returns once they are in the queue."""

    table: str
    launcher: Launcher
    overrides: Sequence[str]
    retry: Collection[str] = ()
    lines: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        spec: TableSpec,
        name: str,
        settings: Sequence[str],
        overrides: Sequence[str],
        retry: Collection[str],
    ) -> "ClusterExecutor":
        """Read a launcher, and compare it with what the cluster has.

        Raises:
            UserError: naming the setting, or in SLURM's words.
        """
        launcher = load_launcher(name, settings)
        trainer = trainer_overrides(launcher, spec.first_experiment, overrides)
        launcher.check_cluster()
        return cls(spec.name, launcher, [*trainer, *overrides], retry)

    def prepare(self, plan: Plan, published: bool) -> None:
        """Give runs that SLURM ended for time or memory, without a word, a record that says so.

        Those that got further in the job, or never began in it, are left to be submitted again.
        """
        runs = plan.complete(published)[0].all_runs
        unfinished = [run for run in runs if _is_open(run)]
        found = {key: p for key, p in places(r.key for r in unfinished).items() if not p.active}
        gone = gone_jobs(found.values())
        for place in found.values():
            reason, work = FOR_GOOD.get(gone.get(place.job or "", "")), place.work
            began_at = place.notes.began.get(work.name)
            idle = not place.notes.lives or began_at == list(reached(work))
            if reason is not None and idle and work.name not in place.notes.ended:
                write_failure(work, f"{reason}: ended by SLURM in job {place.job}", gone=True)

    def describe(self, missing: Sequence[PlannedRun]) -> Sequence[str]:
        """Return what would be asked of SLURM."""
        there = in_queue()
        new = sum(run.key not in there for run in missing)
        jobs = -(-new // self.launcher.runs_per_job)
        queued = [f"{len(missing) - new} of these are in the queue"] if new < len(missing) else []
        return [*queued, f"{jobs} job(s), each: sbatch {shlex.join(self.launcher.flags())}"]

    def run(self, ready: Sequence[PlannedRun], rates: Rates) -> list[str]:
        """Submit what is not in the queue."""
        for line in submit(ready, self.overrides, self.launcher, self.table, self.retry):
            print(line, flush=True)
            self.lines.append(line)
        return []

    def at_work(self) -> Collection[tuple[str, str, str]]:
        """Return the runs that are in the queue."""
        return in_queue()

    def closing(self) -> Sequence[str]:
        """Return what was submitted: the table that was printed since is long."""
        return self.lines


def submit(
    planned: Sequence[PlannedRun],
    overrides: Sequence[str],
    launcher: Launcher,
    table: str,
    retry: Collection[str] = (),
) -> Iterator[str]:
    """Submit runs that are not in the queue; yield a line for each array, and one on the rest.

    Args:
        planned: The runs; what another process has done meanwhile is left out.
        overrides: Passed on to every run.
        launcher: What a job asks for, and how runs share it.
        table: Name of the table.
        retry: Kinds of end that are done again.

    Raises:
        UserError: in SLURM's words, if it refuses.
    """
    if "%" in str(submissions_dir().absolute()):
        raise UserError(
            "outputs (DGMBENCH_OUTPUTS) must have no % in their path, to which SLURM gives a "
            f"meaning, got {outputs_dir().absolute()}"
        )
    check_writable(submissions_dir())
    with held(submissions_dir() / ".lock", wait=True):  # another may be submitting just now
        there = in_queue()
        new = [run for run in planned if run.key not in there and _is_to_do(run, retry)]
        for run in new:
            _forget_failure(run)
        works = [_work(run, overrides) for run in new]
        size = launcher.runs_per_job
        jobs = [tuple(works[i : i + size]) for i in range(0, len(works), size)]
        most = commands.max_array_size() if jobs else 1
        for i in range(0, len(jobs), most):
            yield submit_array(jobs[i : i + most], launcher, table)
    queued = sum(run.key in there for run in planned)
    if queued:
        yield f"{queued} run(s) are in the queue already"


def _is_open(run: PlannedRun) -> bool:
    """Return whether a run has not ended, by its record."""
    try:
        record = run.run.record()
    except ValueError:
        return False
    return record is None or record.status == "interrupted"


def _is_to_do(run: PlannedRun, retry: Collection[str]) -> bool:
    """Return whether a run is not done, looked at once more."""
    try:
        return not run.is_done(run.run.record(), retry)
    except ValueError:
        return True


def _forget_failure(run: PlannedRun) -> None:
    """Let a run that failed count as one to be done, or a second call would say that it failed."""
    record = run.run.record()
    if record is not None and record.status == "failed":
        with run.run.locked():
            record.status, record.reason = "interrupted", "submitted again"
            record.write(run.run.record_path)


def _work(run: PlannedRun, overrides: Sequence[str]) -> Work:
    command = tuple(run.command(overrides))
    return Work(
        run.label,
        run.experiment,
        run.dataset,
        run.run_id,
        run.seed,
        run.row.label,
        command,
        tuple(run.files()),
    )


def submit_array(jobs: Sequence[tuple[Work, ...]], launcher: Launcher, table: str) -> str:
    """Submit one array; say so in a line.

    Args:
        jobs: The runs of each.
        launcher: What a job asks for.
        table: Name of the table.
    """
    stem = "".join(c if c.isalnum() or c in "._-" else "_" for c in table)
    identifier = f"{stem}-{secrets.token_hex(4)}"
    submission = Submission(
        identifier,
        table,
        datetime.now(UTC).isoformat(),
        os.getuid(),
        (submissions_dir() / identifier).absolute(),
        str(Path.cwd()),
        variables(),
        launcher.time_minutes,
        launcher.signal_seconds,
        launcher.side_by_side,
        launcher.stage_to,
        tuple(jobs),
    )
    submission.write()
    folder = str(submission.folder)
    tasks = [(folder, task) for task in range(len(jobs))]
    try:
        job = sbatch(run_task, tasks, submission.folder, submission.name, launcher)
    except UserError:
        shutil.rmtree(submission.folder)
        raise
    submission.keep_id(job)
    runs = sum(map(len, jobs))
    shared = "" if runs == len(jobs) else f" in {len(jobs)} jobs"
    return f"submitted {runs} run(s){shared} as {job} ({submission.name})"


def sbatch(
    function: Callable[..., Any],
    tasks: Sequence[tuple[Any, ...]],
    folder: Path,
    name: str,
    launcher: Launcher,
) -> str:
    """Hand calls of a function to SLURM as one array, through submitit; return its id.

    Args:
        function: What each job calls.
        tasks: The arguments of each.
        folder: For what submitit keeps, and the logs.
        name: The name of the jobs.
        launcher: What each asks for.

    Raises:
        UserError: in SLURM's words, if it refuses.
    """
    # lazily: most verbs submit nothing
    from submitit import SlurmExecutor
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    executor = SlurmExecutor(folder=str(folder), python=launcher.python)
    options = launcher.options()
    executor.update_parameters(
        job_name=name,
        time=options.pop("time"),
        nodes=options.pop("nodes"),
        ntasks_per_node=options.pop("ntasks-per-node"),
        signal_delay_s=launcher.signal_seconds,
        array_parallelism=launcher.array_parallelism or len(tasks),
        stderr_to_stdout=True,
        wckey=None,
        setup=[*_exports(launcher), *launcher.setup, _imports()],
        additional_parameters={"requeue": True, **options},
    )
    with commands.outside_of_jobs():
        try:
            jobs = executor.map_array(function, *zip(*tasks, strict=True))
        except (FailedJobError, FailedSubmissionError) as error:
            raise UserError(f"SLURM refused: {one_line(error)}") from error
    return str(jobs[0].job_id).split("_")[0]


def _exports(launcher: Launcher) -> list[str]:
    """Return lines of shell: variables of the job, and what srun of SLURM >= 22.05 forgets."""
    lines = [f"export {k}={shlex.quote(str(v))}" for k, v in launcher.environment.items()]
    return [*lines, "export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK"]


def _imports() -> str:
    """Return a line of shell: what a job imports is what this process does."""
    places = os.pathsep.join(map(shlex.quote, import_places()))
    return f"export PYTHONSAFEPATH=1 PYTHONPATH={places}${{PYTHONPATH:+:$PYTHONPATH}}"


def variables() -> dict[str, str]:
    """Return what runs must know of this shell, with whole paths."""
    found = {
        k: v for k, v in os.environ.items() if k.startswith("DGMBENCH_") and k != LOOKED_AFTER
    }
    found["DGMBENCH_OUTPUTS"] = str(outputs_dir().absolute())
    found["DGMBENCH_DATA"] = str(data_root().absolute())
    return found
