"""`dgmbench status`."""

import argparse

from benchmarks.commands.settings import add_choice, choice_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("table", nargs="?", help="name of a table (default: all runs)")
    add_choice(parser)


def run(given: argparse.Namespace) -> int:
    """Show the runs of the working space, or of one table."""
    from benchmarks.execution.status import print_status

    return print_status(given.table, choice_of(given))
