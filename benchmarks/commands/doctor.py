"""`dgmbench doctor`."""

import argparse

from benchmarks.core.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("overrides", nargs="*", help="of the launcher: launcher.partition=gpu ...")
    parser.add_argument("--launcher", help="check a node, too, by a job: slurm, or a file (.yaml)")
    parser.add_argument("--wait-minutes", type=int, default=30, help="for that job (default: 30)")


def run(given: argparse.Namespace) -> int:
    """Check versions, devices, data, weights and folders; name what mends each."""
    if given.launcher is None:
        from benchmarks.execution.doctor import run_doctor

        if given.overrides:
            raise UserError(f"--launcher NAME must be given with {given.overrides[0]}")
        return run_doctor()
    from benchmarks.execution.slurm.doctor import doctor_as_job

    return doctor_as_job(given.launcher, given.overrides, given.wait_minutes)
