"""`dgmbench report`."""

import argparse

from datamodules.root import expanded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("tables", nargs="*", help="names of tables (default: all with a record)")
    parser.add_argument("--output", help="file to write (default: report.html)")


def run(given: argparse.Namespace) -> int:
    """Write one HTML page of all tables, runs and figures; it needs no network."""
    from benchmarks.tables.rendering.page import report

    print(report(given.tables, given.output and expanded(given.output, "--output")))
    return 0
