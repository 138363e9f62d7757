"""`dgmbench cancel`."""

import argparse

from benchmarks.commands.settings import add_choice, choice_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("table", help="name of the table")
    add_choice(parser)


def run(given: argparse.Namespace) -> int:
    """Take a table's jobs out of the queue; what runs saves first."""
    from benchmarks.execution.cancel import cancel_table

    return cancel_table(given.table, choice_of(given))
