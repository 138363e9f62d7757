"""`dgmbench offline`."""

import argparse

from benchmarks.core.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("run", metavar="RUN", help="a run's folder or id, or a folder of logs")


def run(given: argparse.Namespace) -> int:
    """Read what W&B wrote offline of a run, and print it."""
    from benchmarks.execution.logs import find_run

    folder = find_run(given.run)
    folder = folder / "logs" if (folder / "logs").is_dir() else folder
    if not any(folder.glob("wandb/offline-run-*")):
        raise UserError(f"{folder} must hold the offline files of W&B, got none")
    from benchmarks.loggers.wandb_logger import read_offline

    found = read_offline(folder)
    names = [("id", found.ids), ("group", found.groups), ("tag", found.tags)]
    for name, values in (*names, ("artifact", found.artifacts)):
        for value in sorted(values):
            print(f"{name} {value}")
    print(f"{len(found.rows)} rows")
    for key, value in sorted(found.summary.items()):
        print(f"  {key}: {value}")
    return 0
