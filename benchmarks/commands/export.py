"""`dgmbench export`."""

import argparse

from datamodules.root import expanded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("run", metavar="RUN", help="a run's folder")
    parser.add_argument("--samples", type=int, default=1000, help="their number (default: 1000)")
    parser.add_argument("--checkpoint", default="last", help="last, best, or images seen")
    parser.add_argument("--output", help="folder (default: export in the run's)")


def run(given: argparse.Namespace) -> int:
    """Write a run's weights (safetensors), config, samples (npz) and citation."""
    from benchmarks.evaluation.export import export

    target = given.output and expanded(given.output, "--output")
    print(export(expanded(given.run, "RUN"), given.samples, given.checkpoint, target))
    return 0
