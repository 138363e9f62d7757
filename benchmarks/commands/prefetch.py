"""`dgmbench prefetch`."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("names", nargs="+", help="names of data sets")


def run(given: argparse.Namespace) -> int:
    """Download data sets into the data folder, checked; what is there stays."""
    from benchmarks.evaluation.prefetch import prefetch

    return prefetch(given.names)
