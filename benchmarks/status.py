"""`dgmbench status`: what the runs of the working space, or of one table, are doing."""

import json
from functools import cache

from benchmarks.compose import compose
from benchmarks.errors import UserError, one_line
from benchmarks.paths import outputs_dir
from benchmarks.records import Record, read_record
from benchmarks.runs import Run
from benchmarks.tables.plan import make_plan
from benchmarks.tables.spec import load_spec

__all__ = ["print_status"]


def print_status(table: str | None) -> int:
    """Print one line per run."""
    if table is None:
        if outputs_dir().exists() and not outputs_dir().is_dir():
            raise UserError(f"DGMBENCH_OUTPUTS must be a folder, got {outputs_dir()}")
        folders = sorted(p.parent for p in outputs_dir().glob("*/*/*/record.json"))
        if not folders:
            print(f"no runs in {outputs_dir()}; start one with: dgmbench table quick")
        for folder in folders:
            print(_line("/".join(folder.parts[-3:]), Run(folder)))
        return 0
    spec = load_spec(table)
    for planned in make_plan(spec, spec.seeds).runs:
        print(_line(planned.label, planned.run))
    return 0


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
