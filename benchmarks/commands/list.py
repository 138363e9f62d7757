"""`dgmbench list`."""

import argparse

KINDS = (
    *("methods", "models", "losses", "penalties", "datasets", "searches", "experiments"),
    *("tables", "protocols", "extractors"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("what", nargs="?", choices=KINDS)


def run(given: argparse.Namespace) -> int:
    """List methods, parts, data sets, experiments, tables, protocols: the suite's and yours."""
    from benchmarks.tables.listing import print_listing

    return print_listing([given.what] if given.what else list(KINDS))
