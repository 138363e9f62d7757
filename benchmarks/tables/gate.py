"""`dgmbench gate`: a published table run again, and compared with its records."""

import math
import shutil
from collections.abc import Iterator, Sequence

from benchmarks.core.environment import code_state
from benchmarks.core.errors import UserError
from benchmarks.core.intervals import quantile_of_t
from benchmarks.core.paths import outputs_dir, results_dir, working_in
from benchmarks.runs.bits import compared
from benchmarks.runs.changes import ROUNDING
from benchmarks.tables.analysis.cells import Records, join
from benchmarks.tables.executor import Executor
from benchmarks.tables.plan.choice import Choice
from benchmarks.tables.plan.plan import Plan, make_plan
from benchmarks.tables.plan.planned_run import PlannedRun
from benchmarks.tables.plan.scale import published_scale
from benchmarks.tables.run import run_table
from benchmarks.tables.spec import load_spec

__all__ = ["gate"]

FAMILY_LEVEL = 0.05  # chance that an unchanged program fails the gate


def gate(table: str, rows: Sequence[str], seeds: int, executor: Executor) -> int:
    """Run a table again and compare it with its published records.

    A score regresses if it is worse than the published seeds' mean by more than the prediction
    interval of a mean of so many new seeds, at a level that an unchanged program exceeds in
    5 % of all gates (Bonferroni). A run of the same seed on the same type of machine must give
    the same bits.

    Args:
        table: Name of the table.
        rows: Labels of the rows that are run; none for all.
        seeds: Number of seeds that are run.
        executor: Does the runs.

    Returns:
        0, or 1 if a score regressed or a run left none.
    """
    spec = load_spec(table)
    if spec.search is not None:
        raise UserError(f"table {table} must have no search to be a gate: it would run it again")
    plan = make_plan(spec, *published_scale(table))
    published = plan.records(published=True, outputs=False)
    if not published:
        where = results_dir() / spec.name
        raise UserError(f"table {spec.name} must have published records in {where}")
    state = code_state()
    folder = outputs_dir() / "gate" / str(state.get("git_commit") or "unknown")[:12]
    if state.get("dirty") is not False and folder.exists():
        shutil.rmtree(folder)  # the tree may have changed since
    with working_in(folder):
        choice = Choice(seeds=seeds, rows=rows)
        code = run_table(spec, [], choice, executor)
        fresh = choice.plan(spec).records(published=False)
    again = list(_again(plan, published, fresh))
    verdicts = list(_gate_lines(plan, published, fresh, choice))
    for _, line in (*again, *verdicts):
        print(line)
    bad = sum(is_bad for is_bad, _ in verdicts)
    faults = sum(is_fault for is_fault, _ in again)
    print(
        f"gate of table {spec.name}: {len(verdicts)} scores, {bad} regressed or not compared; "
        f"{len(again)} runs done again, {faults} with other bits on the same machine type"
    )
    return 1 if bad or faults or code or not verdicts else 0


def _again(plan: Plan, published: Records, fresh: Records) -> Iterator[tuple[bool, str]]:
    """Yield whether a seed that was run again shows a fault, and a line, for each such run."""
    for run in plan.runs:
        old, new = published.get(run.key), fresh.get(run.key)
        if old is None or new is None or run.row.experiment is None:
            continue
        seeds = [published[r.key] for r in plan.runs if _is_of(r, run) and r.key in published]
        result = compared(old, new, seeds)
        yield result.is_fault, f"{run.label}: {result.text}"


def _is_of(run: PlannedRun, other: PlannedRun) -> bool:
    return (run.row.label, run.dataset) == (other.row.label, other.dataset)


def _gate_lines(
    plan: Plan, published: Records, fresh: Records, choice: Choice
) -> Iterator[tuple[bool, str]]:
    """Yield whether it regressed, or cannot be compared, and a line, for every published score."""
    spec = plan.spec
    old, new = join(plan, published), join(plan, fresh)
    chosen = [
        (row, column)
        for row in filter(choice.has_row, spec.rows)
        for column in spec.columns
        if row.experiment is not None
        and (cell := old.cells.get((row.label, column.label))) is not None
        and cell.statistics.n
    ]
    for row, column in chosen:
        before = old.cells[row.label, column.label].statistics
        now = new.cells[row.label, column.label].statistics
        where, was = f"{row.label}, {column.label}", before.text(column.digits)
        if now.mean is None:
            yield True, f"{where}: no score now, {was} before"
            continue
        if before.mean is None or before.std is None:
            yield True, f"{where}: {was} before (n = {before.n}), whose noise is not known"
            continue
        level = 1 - 2 * FAMILY_LEVEL / len(chosen)  # one side
        half = quantile_of_t(level, before.n - 1) * before.std
        half *= math.sqrt(1 / now.n + 1 / before.n)
        sign = 1 if column.better == "lower" else -1
        regressed = sign * (now.mean - before.mean) > max(half, ROUNDING * abs(before.mean))
        yield (
            regressed,
            f"{where}: {was} before (n = {before.n}), {now.text(column.digits)} now "
            f"(n = {now.n}), allowed {half:.3g} worse{': REGRESSED' if regressed else ''}",
        )
