"""`dgmbench prune`."""

import argparse

from benchmarks.commands.settings import add_choice, choice_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("table", help="name of the table")
    add_choice(parser)
    parser.add_argument("--dry-run", action="store_true", help="print what would go only")


def run(given: argparse.Namespace) -> int:
    """Remove checkpoints and snapshots of a table's finished runs that nothing needs."""
    from benchmarks.execution.prune import prune

    return prune(given.table, choice_of(given), given.dry_run)
