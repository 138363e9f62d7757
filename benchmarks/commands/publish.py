"""`dgmbench publish`."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("table", help="name of the table")
    parser.add_argument("--seeds", type=int, help="number of seeds")
    parser.add_argument("--configurations", type=int, help="per phase of the search")


def run(given: argparse.Namespace) -> int:
    """Merge a table's records into results/ and render it there and in the README."""
    from benchmarks.tables.publish import publish

    return publish(given.table, given.seeds, given.configurations)
