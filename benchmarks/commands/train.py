"""`dgmbench train`."""

import argparse
import sys

from benchmarks.core.environment import is_first_process


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("overrides", nargs="*", help="experiment=NAME [seed=N] [key=value ...]")
    parser.add_argument("--no-bar", action="store_true", help="no progress bar")
    parser.add_argument(
        "--trial",
        action="store_true",
        help="only try it: a few updates, the pictures, each protocol at its smallest",
    )


def run(given: argparse.Namespace) -> int:
    """Train one experiment, or continue it, and evaluate it."""
    from benchmarks.config.compose import compose
    from benchmarks.evaluation.scoring import describe
    from benchmarks.runs.folder import Run
    from benchmarks.training.build import trial
    from benchmarks.training.train import train

    composed = compose(given.overrides)
    if given.trial:
        tried = trial(composed)
        print(f"{composed.experiment} on {composed.dataset}: all that was tried works")
        print("\n".join(f"  {line}" for line in tried))
        return 0
    run = Run.of(composed)
    before = run.record_path.read_bytes() if run.record_path.exists() else None
    record = train(composed, bar=not given.no_bar)
    if is_first_process():
        again = before is not None and run.record_path.read_bytes() == before
        what = f"{record.status} before; nothing to do" if again else record.status
        print(f"{what}: {run.folder}" + (f" ({record.reason})" if record.reason else ""))
        for line in (*describe(record), *record.notes):
            print(f"  {line}")
        if record.status == "finished" and not record.evaluations:
            print("  not scored, since no protocol was named: dgmbench evaluate RUN protocol=NAME")
    if record.status == "failed":
        if is_first_process():
            print(f"the traceback is in {run.folder / 'error.txt'}", file=sys.stderr)
        elif str(record.reason).startswith("rank 0"):  # who would have said so
            print(f"dgmbench: {record.reason}", file=sys.stderr)
        return 1
    return 1 if record.status == "interrupted" else 0  # something cut it short
