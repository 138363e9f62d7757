"""`dgmbench gate`."""

import argparse

from benchmarks.commands.settings import names_in


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("table", nargs="?", default="quick", help="name of a published table")
    parser.add_argument("--rows", default="", help="only these rows: labels, with commas between")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds (default: 1)")
    parser.add_argument("--jobs", type=int, help="runs side by side (default: cores)")


def run(given: argparse.Namespace) -> int:
    """Run a table again and compare it with its published records; code 1 on a regression."""
    from benchmarks.execution.local import LocalExecutor, default_jobs
    from benchmarks.tables.gate import gate
    from benchmarks.tables.spec import load_spec

    jobs = default_jobs(load_spec(given.table), []) if given.jobs is None else given.jobs
    return gate(given.table, names_in(given.rows), given.seeds, LocalExecutor([], jobs))
