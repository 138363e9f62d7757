"""`dgmbench sync`."""

import argparse

from benchmarks.commands.settings import add_choice, choice_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("table", help="name of the table")
    add_choice(parser)
    parser.add_argument("--dry-run", action="store_true", help="print what would be uploaded only")


def run(given: argparse.Namespace) -> int:
    """Upload to W&B what a table's runs logged offline."""
    from benchmarks.execution.sync import sync

    return sync(given.table, choice_of(given), given.dry_run)
