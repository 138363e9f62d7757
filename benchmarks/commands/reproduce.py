"""`dgmbench reproduce`."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("record", metavar="RECORD", help="a record, or a run's folder")


def run(given: argparse.Namespace) -> int:
    """Do a record's run again, and say whether its scores agree."""
    from benchmarks.training.reproduce import reproduce

    return reproduce(given.record)
