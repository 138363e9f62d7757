"""`dgmbench status`: what the runs of the working space, or of one table, are doing."""

import json
import time
from pathlib import Path

from benchmarks.errors import user_errors
from benchmarks.paths import outputs_dir
from benchmarks.records import Record, read_record
from benchmarks.runs import Run
from benchmarks.tables.plan import make_plan
from benchmarks.tables.spec import load_spec

__all__ = ["print_status"]

ALIVE_SECONDS = 60  # a run that wrote progress since is taken to be running


def print_status(table: str | None) -> int:
    """Print one line per run."""
    if table is None:
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
    with user_errors(ValueError):
        record = read_record(run.record_path)
    return f"{label:<60} {_state(record, run.progress_path)}"


def _state(record: Record | None, progress: Path) -> str:
    if record is None:
        return "missing"
    if record.status == "finished":
        return f"finished, {len(record.evaluations)} evaluation(s)"
    if record.status == "interrupted":
        try:
            values = json.loads(progress.read_text())
            fraction = values["images_seen"] / max(values["budget_images"], 1)
            alive = time.time() - progress.stat().st_mtime < ALIVE_SECONDS
        except (OSError, ValueError, KeyError):
            return f"interrupted: {record.reason}"
        return f"{'running' if alive else 'interrupted'} at {fraction:.0%}"
    return f"{record.status}: {record.reason}"
