"""`dgmbench status`: what the runs of the working space, or of one table, are doing."""

import sys
from collections.abc import Iterable, Sequence
from functools import cache

from benchmarks.config.compose import compose
from benchmarks.core.errors import UserError
from benchmarks.core.paths import outputs_dir
from benchmarks.execution.slurm.commands import SlurmError
from benchmarks.execution.slurm.queue import Place, places
from benchmarks.execution.slurm.state import gone_jobs, state_of
from benchmarks.execution.slurm.submissions import submissions_dir
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Record, many_records
from benchmarks.runs.state import KINDS, State, record_or_fault
from benchmarks.tables.plan.choice import Choice
from benchmarks.tables.plan.plan import Plan
from benchmarks.tables.plan.planned_run import Key, PlannedRun
from benchmarks.tables.spec import load_spec

__all__ = ["print_status"]


def print_status(table: str | None, choice: Choice) -> int:
    """Print one line per run; of a table, the matrix first, then what is not finished.

    Args:
        table: The name of the table; None for all runs of the working space.
        choice: Which of its runs.

    Raises:
        UserError: for a name the table does not have, or a choice without a table.
    """
    if table is None:
        if choice != Choice():
            raise UserError("table must be given with seeds, configurations, rows or columns")
        if outputs_dir().exists() and not outputs_dir().is_dir():
            raise UserError(f"DGMBENCH_OUTPUTS must be a folder, got {outputs_dir()}")
        folders = sorted(p.parent for p in outputs_dir().glob("*/*/*/record.json"))
        if not folders:
            print(f"no runs in {outputs_dir()}; start one with: dgmbench table quick")
        runs = [Run(folder) for folder in folders]
        found = _places(run.key for run in runs)
        gone = gone_jobs(found.values())
        for run in runs:
            record = record_or_fault(run.record_path)
            _print("/".join(run.key), record, state_of(run, record, found.get(run.key), gone))
        return 0
    plan = choice.plan(load_spec(table))
    records = _readable(choice.runs(plan))
    first = {run.key for run in plan.all_runs}
    plan = plan.with_best({k: r for k, r in records.items() if isinstance(r, Record)})
    chosen = choice.runs(plan)
    records |= _readable([run for run in chosen if run.key not in first])
    states = _states(chosen, records)
    print("\n".join(_matrix(plan, choice, states)))
    for planned in chosen:
        if states[planned.key].kind not in ("finished", "missing"):
            _print(
                f"{planned.label} [{planned.run_id}]",
                records.get(planned.key),
                states[planned.key],
            )
    return 0


def _places(keys: Iterable[Key]) -> dict[Key, Place]:
    """Return where runs are in the queue; say so if it cannot be read."""
    if not submissions_dir().is_dir():
        return {}
    try:
        return places(keys)
    except SlurmError as error:
        print(f"the queue could not be read: {error}", file=sys.stderr)
        return {}


def _states(
    runs: Sequence[PlannedRun], records: dict[Key, Record | str | None]
) -> dict[Key, State]:
    """Describe all runs with one look at the queue."""
    open_runs = [run for run in runs if not _is_done(run, records.get(run.key))]
    found = _places(run.key for run in open_runs)
    gone = gone_jobs(found.values())
    states = {}
    for run in runs:
        record = records.get(run.key)
        state = state_of(run.run, record, found.get(run.key), gone)
        if state.kind == "finished" and not _is_done(run, record):
            state = State("unscored", "finished, but not scored under all protocols of the table")
        states[run.key] = state
    return states


def _is_done(run: PlannedRun, record: Record | str | None) -> bool:
    return isinstance(record, Record) and record.status == "finished" and run.is_done(record)


def _readable(runs: Sequence[PlannedRun]) -> dict[Key, Record | str | None]:
    """Return the records there are, or what is wrong with them."""
    with many_records():
        return {run.key: record_or_fault(run.run.record_path) for run in runs}


def _matrix(plan: Plan, choice: Choice, states: dict[Key, State]) -> list[str]:
    """Return rows by data sets: how many runs are done of how many, and what the others do."""
    datasets = choice.datasets(plan.spec)
    lines = [["", *datasets]]
    for row in filter(choice.has_row, plan.spec.rows):
        cells = [row.label]
        for column in (next(c for c in plan.spec.columns if c.dataset == d) for d in datasets):
            searched, shown = plan.search_of(row, column.dataset), plan.cell(row, column)
            parts = [f"search {_counts(searched, states)}"] if searched else []
            parts += [_counts(shown, states)] if shown else []
            cells.append("; ".join(parts) or "–")
        lines.append(cells)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in lines]


def _counts(runs: Sequence[PlannedRun], states: dict[Key, State]) -> str:
    kinds = [states[run.key].kind for run in runs]
    text = f"{kinds.count('finished')}/{len(runs)}"
    for kind in KINDS:
        if kind in kinds:
            text += f", {kinds.count(kind)} {kind}"
    return text


def _print(label: str, record: Record | str | None, state: State) -> None:
    stale = _stale(record) if isinstance(record, Record) else ""
    print(f"{label:<60} {stale}{state.text}")
    for line in state.tail:
        print(f"    | {line}")


def _stale(record: Record) -> str:
    """Return a remark on a run of an earlier revision of its experiment, else nothing."""
    parts = record.run_id.split("-")
    now = _revision(record.experiment, record.dataset) if len(parts) == 3 else None
    if now is None or int(parts[1][1:]) >= now:
        return ""
    return f"stale (revision {parts[1][1:]}, now {now}): "


@cache
def _revision(experiment: str, dataset: str) -> int | None:
    """Return the revision that an experiment has now; None for one that is gone."""
    try:
        return compose([f"experiment={experiment}", f"datamodule={dataset}"]).cfg.revision
    except UserError:
        return None
