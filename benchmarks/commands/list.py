"""`dgmbench list`."""

import argparse

KINDS = ("methods", "losses", "datasets", "searches", "experiments", "tables", "protocols")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("what", nargs="?", choices=KINDS)


def run(given: argparse.Namespace) -> int:
    """List methods, losses, data sets, experiments, tables, protocols."""
    from benchmarks.tables.listing import print_listing

    return print_listing([given.what] if given.what else list(KINDS))
