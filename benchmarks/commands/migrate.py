"""`dgmbench migrate`."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("folders", nargs="*", help="of results, or of runs (default: both)")


def run(given: argparse.Namespace) -> int:
    """Bring what an earlier version has published or begun under today's identities."""
    from benchmarks.runs.migrate import migrate

    return migrate(given.folders)
