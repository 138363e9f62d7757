"""`dgmbench status`: what the runs of the working space, or of one table, are doing."""

import json
from collections.abc import Sequence
from functools import cache

from benchmarks.compose import compose
from benchmarks.errors import UserError, one_line
from benchmarks.paths import outputs_dir
from benchmarks.records import Record, many_records, read_record
from benchmarks.runs import Run
from benchmarks.tables.plan import Plan, make_plan
from benchmarks.tables.planned import Key, PlannedRun
from benchmarks.tables.spec import load_spec

__all__ = ["print_status"]


def print_status(
    table: str | None, seeds: int | None = None, configurations: int | None = None
) -> int:
    """Print one line per run; of a table, the matrix first, then what is not finished."""
    if table is None:
        if outputs_dir().exists() and not outputs_dir().is_dir():
            raise UserError(f"DGMBENCH_OUTPUTS must be a folder, got {outputs_dir()}")
        folders = sorted(p.parent for p in outputs_dir().glob("*/*/*/record.json"))
        if not folders:
            print(f"no runs in {outputs_dir()}; start one with: dgmbench table quick")
        for folder in folders:
            print(_line("/".join(folder.parts[-3:]), Run(folder)))
        return 0
    plan = make_plan(load_spec(table), seeds, configurations)
    records = _readable(plan.all_runs)
    first = {run.key for run in plan.all_runs}
    plan = plan.with_best({k: r for k, r in records.items() if isinstance(r, Record)})
    records |= _readable([run for run in plan.all_runs if run.key not in first])
    print("\n".join(_matrix(plan, records)))
    for planned in plan.all_runs:
        found = records.get(planned.key)
        if found is None or (isinstance(found, Record) and found.status == "finished"):
            continue
        print(_line(planned.label, planned.run))
    return 0


def _readable(runs: Sequence[PlannedRun]) -> dict[Key, Record | str]:
    """Return the records there are, or what is wrong with them."""
    found: dict[Key, Record | str] = {}
    with many_records():
        for planned in runs:
            try:
                record = read_record(planned.run.record_path)
            except ValueError as error:
                found[planned.key] = f"damaged: {one_line(error)}"
                continue
            if record is not None:
                found[planned.key] = record
    return found


def _matrix(plan: Plan, records: dict[Key, Record | str]) -> list[str]:
    """Return rows by data sets: how many runs are done of how many, and what the others do."""
    datasets = list(dict.fromkeys(c.dataset for c in plan.spec.columns))
    lines = [["", *datasets]]
    for row in plan.spec.rows:
        cells = [row.label]
        for column in (next(c for c in plan.spec.columns if c.dataset == d) for d in datasets):
            searched, shown = plan.search_of(row, column.dataset), plan.cell(row, column)
            parts = [f"search {_counts(searched, records)}"] if searched else []
            parts += [_counts(shown, records)] if shown else []
            cells.append("; ".join(parts) or "–")
        lines.append(cells)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in lines]


def _counts(runs: list[PlannedRun], records: dict[Key, Record | str]) -> str:
    states = [_kind(run, records.get(run.key)) for run in runs]
    text = f"{states.count('finished')}/{len(runs)}"
    for kind in ("running", "interrupted", "unscored", "failed", "diverged", "damaged"):
        if kind in states:
            text += f", {states.count(kind)} {kind}"
    return text


def _kind(planned: PlannedRun, record: Record | str | None) -> str:
    if isinstance(record, str):
        return "damaged"
    if record is None:
        return "missing"
    if record.status == "interrupted" and _state(record, planned.run).startswith("running"):
        return "running"
    if record.status == "finished" and not planned.is_done(record):
        return "unscored"
    return record.status


def _line(label: str, run: Run) -> str:
    try:
        record = read_record(run.record_path)
    except ValueError as error:
        return f"{label:<60} damaged: {one_line(error)}"
    if record is None:
        return f"{label:<60} missing"
    return f"{label:<60} {_stale(record)}{_state(record, run)}"


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


def _state(record: Record, run: Run) -> str:
    if record.status == "finished":
        return f"finished, {len(record.evaluations)} evaluation(s)"
    if record.status == "interrupted":
        try:
            values = json.loads(run.progress_path.read_text())
            fraction = values["images_seen"] / max(values["budget_images"], 1)
        except (OSError, ValueError, KeyError):
            return f"interrupted: {record.reason}"
        owner = run.owner()
        if owner is None or owner.is_dead_here():
            return f"interrupted at {fraction:.0%}"
        return f"running at {fraction:.0%} ({owner})"
    return f"{record.status}: {record.reason}"
