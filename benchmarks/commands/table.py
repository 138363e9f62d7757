"""`dgmbench table`."""

import argparse
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from benchmarks.commands.settings import add_choice, choice_of
from benchmarks.core.errors import UserError

if TYPE_CHECKING:
    from benchmarks.tables.executor import Executor
    from benchmarks.tables.spec import TableSpec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("table", help="name of a table, or a file of your own (.yaml)")
    parser.add_argument(
        "overrides",
        nargs="*",
        help="passed on to every run: trainer=... logger=...; or launcher.KEY=VALUE",
    )
    add_choice(parser)
    add_running(parser)


def add_running(parser: argparse.ArgumentParser) -> None:
    """Let a verb be told how a table's runs are done."""
    parser.add_argument("--jobs", type=int, help="runs side by side (default: cores)")
    parser.add_argument("--retry", default="", help="do again: failed, timeout, oom, diverged")
    parser.add_argument("--published", action="store_true", help="count results/ as done, too")
    parser.add_argument("--dry-run", action="store_true", help="print the runs and their cost")
    parser.add_argument("--launcher", help="submit the runs: slurm, or your own file (.yaml)")


def run(given: argparse.Namespace) -> int:
    """Run what a table lacks, then print it."""
    from benchmarks.tables.run import run_table
    from benchmarks.tables.spec import load_spec

    spec = load_spec(given.table)
    passed_on, executor = who_runs(spec, given.overrides, given)
    return run_table(spec, passed_on, choice_of(given), executor, given.dry_run)


def is_passed_on(override: str) -> bool:
    """Return whether an override is of how runs are done, and not of what they are."""
    from benchmarks.tables.plan.plan import PASSED_ON

    return override.lstrip("+~").split("=")[0].split(".")[0] in (*PASSED_ON, "launcher")


def who_runs(
    spec: "TableSpec", overrides: Sequence[str], given: argparse.Namespace
) -> "tuple[list[str], Executor]":
    """Return what of the overrides is passed on to a table's runs, and who does them."""
    from benchmarks.tables.plan.plan import check_passed_on

    of_launcher = [o for o in overrides if o.startswith("launcher.")]
    passed_on = [o for o in overrides if o not in of_launcher]
    check_passed_on(spec, passed_on)
    retry = choice_of(given).retry
    return passed_on, _executor(spec, passed_on, of_launcher, given.jobs, given.launcher, retry)


def _executor(
    spec: "TableSpec",
    passed_on: Sequence[str],
    of_launcher: Sequence[str],
    jobs: int | None,
    launcher: str | None,
    retry: Collection[str],
) -> "Executor":
    """Return who does the runs."""
    if launcher is None:
        from benchmarks.execution.local import LocalExecutor, default_jobs

        if of_launcher:
            raise UserError(f"--launcher NAME must be given with {of_launcher[0]}")
        return LocalExecutor(passed_on, default_jobs(spec, passed_on) if jobs is None else jobs)
    from benchmarks.execution.slurm.submit import ClusterExecutor

    if jobs is not None:
        raise UserError(
            "jobs are for runs on this machine; with --launcher: launcher.array_parallelism"
        )
    return ClusterExecutor.of(spec, launcher, of_launcher, passed_on, retry)
