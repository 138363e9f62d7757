"""`dgmbench queue`."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("table", nargs="+", help="names of tables")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--hours", type=float, help="for how long")
    length.add_argument(
        "--measure",
        type=float,
        metavar="SECONDS",
        help="instead: begin a run of each kind of unknown cost, to learn it",
    )
    parser.add_argument(
        "--partial", action="store_true", help="begin runs that need longer than the time left"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the order and the cost")


def run(given: argparse.Namespace) -> int:
    """Spend spare hours on what tables lack, the cheapest verdict first."""
    from benchmarks.core.errors import UserError
    from benchmarks.execution.queue import measure, run_queue

    if given.measure is not None:
        if given.partial or given.dry_run:
            raise UserError("partial and dry-run must not be given with --measure")
        return measure(given.table, given.measure)
    return run_queue(given.table, given.hours, given.partial, given.dry_run)
