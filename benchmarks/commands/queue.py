"""`dgmbench queue`."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("table", nargs="+", help="names of tables")
    parser.add_argument("--hours", type=float, required=True, help="for how long")
    parser.add_argument(
        "--partial", action="store_true", help="begin runs that need longer than the time left"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the order and the cost")


def run(given: argparse.Namespace) -> int:
    """Spend spare hours on what tables lack, the cheapest verdict first."""
    from benchmarks.execution.queue import run_queue

    return run_queue(given.table, given.hours, given.partial, given.dry_run)
