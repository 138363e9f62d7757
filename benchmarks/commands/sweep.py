"""`dgmbench sweep`."""

import argparse

from benchmarks.commands.settings import choice_of
from benchmarks.commands.table import add_running, is_passed_on, who_runs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "overrides",
        nargs="*",
        help="experiment=NAME key=VALUE,VALUE seed=0,1 [datamodule=...]; and what `table` takes",
    )
    parser.add_argument("--name", help="of the table, or a file for it (.yaml)")
    add_running(parser)
    parser.set_defaults(seeds=None, configurations=None, rows="", columns="")


def run(given: argparse.Namespace) -> int:
    """Compare an experiment with each combination of some values, as a table."""
    from benchmarks.tables.plan.plan import make_plan
    from benchmarks.tables.run import run_table
    from benchmarks.tables.sweep import sweep_of

    others = [o for o in given.overrides if is_passed_on(o)]
    sweep = sweep_of([o for o in given.overrides if o not in others], given.name)
    spec = sweep.spec
    passed_on, executor = who_runs(spec, others, given)
    make_plan(spec)  # what is refused is not written
    if given.dry_run:
        print(f"the table of this sweep would be {sweep.path}")
    else:
        sweep.write()
        print(f"the table of this sweep, which other verbs take too: {sweep.path}", flush=True)
    return run_table(spec, passed_on, choice_of(given), executor, given.dry_run)
