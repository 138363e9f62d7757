"""`dgmbench table T`: plan, run what is missing in processes of their own, render."""

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.errors import UserError
from benchmarks.paths import check_writable, outputs_dir
from benchmarks.records import write_atomically
from benchmarks.tables.figure import newest_grid, samples_figure
from benchmarks.tables.plan import (
    Plan,
    PlannedRun,
    check_passed_on,
    default_jobs,
    key_of,
    make_plan,
)
from benchmarks.tables.pool import run_all
from benchmarks.tables.render import Rendered, render, to_csv, to_markdown, to_terminal
from benchmarks.tables.spec import load_spec

__all__ = ["run_table", "sample_grids", "write_table"]


def run_table(
    name: str, overrides: Sequence[str], jobs: int | None, seeds: int | None, published: bool
) -> int:
    """Complete a table and print it.

    Args:
        name: Of the table.
        overrides: Of trainer, logger and threads, passed on to every run.
        jobs: Runs side by side; None for the number of cores, or for 1 on GPUs.
        seeds: Number of seeds; None for the specification's.
        published: Count published records as done, too.

    Returns:
        0, or 1 where a run left no result.
    """
    spec = load_spec(name)
    check_passed_on(spec, overrides)
    if jobs is not None and jobs < 1:
        raise UserError(f"jobs must be >= 1, got {jobs}")
    plan = make_plan(spec, seeds if seeds is not None else spec.seeds)
    folder = outputs_dir() / "tables" / name
    check_writable(folder)
    records = plan.records(published)
    missing = [r for r in plan.runs if not r.is_done(records.get(key_of(r)))]
    if missing:
        print(f"{len(plan.runs)} runs, {len(plan.runs) - len(missing)} of them done")
    lacks = {r: r.lacks() for r in missing}
    for line in dict.fromkeys(filter(None, lacks.values())):
        print(f"left out: {line}")
    ready = [r for r in missing if lacks[r] is None]
    failed = run_all(ready, overrides, jobs or default_jobs(spec, overrides))
    table = render(plan, plan.records(published))
    figure = write_table(table, folder)
    samples_figure([(run.row.label, grid) for run, grid in sample_grids(plan)], figure)
    print(to_terminal(table))
    print(f"\n{folder / 'table.md'}, table.csv, {figure.name}")
    for line in failed:
        print(f"dgmbench: {line}", file=sys.stderr)
    return 1 if failed else 0


def write_table(table: Rendered, folder: Path) -> Path:
    """Write table.md and table.csv; return the path of the picture beside them."""
    write_atomically(folder / "table.md", to_markdown(table))
    write_atomically(folder / "table.csv", to_csv(table))
    return folder / "samples.png"


def sample_grids(plan: Plan) -> list[tuple[PlannedRun, Path]]:
    """Return the first seed of each row, with its grid, where there is one."""
    grids = [(run, newest_grid(run.run.samples)) for run in plan.runs if run.seed == 0]
    return [(run, grid) for run, grid in grids if grid is not None]
