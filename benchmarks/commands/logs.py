"""`dgmbench logs`."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("run", metavar="RUN", help="a run's folder or id")
    parser.add_argument("--lines", type=int, default=20, help="of each log (default: 20)")


def run(given: argparse.Namespace) -> int:
    """Show what a run of a table, and its job, last said."""
    from benchmarks.execution.logs import print_logs

    return print_logs(given.run, given.lines)
