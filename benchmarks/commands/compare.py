"""`dgmbench compare`."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("first", metavar="A", help="a record, a run's folder, a table, a folder")
    parser.add_argument("second", metavar="B", help="the same")


def run(given: argparse.Namespace) -> int:
    """Compare two records, runs, tables or folders of records: B minus A."""
    from benchmarks.tables.compare import compare

    return compare(given.first, given.second)
