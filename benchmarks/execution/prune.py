"""`dgmbench prune T`: remove what a table's finished runs keep on disk, and nothing needs."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.execution.slurm.doctor import DOCTOR, REPORT
from benchmarks.execution.slurm.submissions import all_submissions, submissions_dir
from benchmarks.runs.record import Record
from benchmarks.tables.plan.choice import Choice
from benchmarks.tables.plan.plan import Plan
from benchmarks.tables.plan.planned_run import Key, PlannedRun
from benchmarks.tables.spec import load_spec

__all__ = ["prunable", "prune"]


def prune(table: str, choice: Choice, dry_run: bool = False) -> int:
    """Remove, of runs that are scored, all checkpoints but the last, and what no column shows.

    Of a search that has ended, the checkpoints of every drawn configuration go, too: its best is
    shown by new seeds. The experiment's own values stay, since other tables show them.
    Records, logs and pictures stay, and so does all of a run that is not done or in use. What jobs
    of SLURM left goes once all their runs are done, and what the doctor's left.

    Args:
        table: The name of the table.
        choice: Which of its runs.
        dry_run: Print what would go only.

    Raises:
        UserError: for a name the table does not have.
    """
    plan, records = choice.plan(load_spec(table)).complete(published=False)
    files = [*prunable(plan, choice, records), *_of_submissions(records), *_of_doctors()]
    size = sum(path.stat().st_size for path in files)
    for path in files:
        if dry_run:
            print(f"  {path}")
        else:
            path.unlink()
            if path.parent.parent == submissions_dir() and not any(path.parent.iterdir()):
                path.parent.rmdir()
    what = "would be removed" if dry_run else "removed"
    print(f"{len(files)} file(s), {size / 1e9:.3f} GB {what}")
    return 0


def prunable(plan: Plan, choice: Choice, records: Mapping[Key, Record]) -> Iterator[Path]:
    """Yield the files of the chosen runs that nothing needs."""
    shown = {run.key for run in plan.runs}
    for run in choice.runs(plan):
        record, owner = records.get(run.key), run.run.owner()
        if record is None or record.status != "finished" or not run.is_done(record):
            continue
        if owner is not None and not owner.is_dead_here():
            continue
        folder = run.run.checkpoints
        checkpoints = sorted(folder.glob("[0-9]*.ckpt"), key=lambda p: int(p.stem))
        snapshots = [p for p in folder.glob("snapshot-*.pt") if p.stem != "snapshot-best"]
        if run.key not in shown and run.values and _search_has_ended(plan, run):
            yield from [*checkpoints, *snapshots]
            continue
        yield from checkpoints[:-1]
        if run.snapshots:
            needed = _shown_snapshots(plan, run, record)
            yield from (p for p in snapshots if p.stem.split("-")[1] not in needed)


def _of_submissions(records: Mapping[Key, Record]) -> Iterator[Path]:
    """Yield what jobs of SLURM left whose runs have all finished."""
    done = {key for key, record in records.items() if record.status == "finished"}
    for submission in all_submissions():
        left = {submission.notes(task).left for task in range(len(submission.jobs))}
        if submission.places.keys() <= done and left <= {"done", "cancelled"}:
            yield from sorted(submission.folder.iterdir())


def _of_doctors() -> Iterator[Path]:
    """Yield what jobs left that looked around on a node and came to the end."""
    for report in submissions_dir().glob(f"{DOCTOR}*/{REPORT}"):
        yield from sorted(report.parent.iterdir())


def _search_has_ended(plan: Plan, run: PlannedRun) -> bool:
    return any(r.row == run.row and r.dataset == run.dataset for r in plan.runs)


def _shown_snapshots(plan: Plan, run: PlannedRun, record: Record) -> set[str]:
    columns = [c for c in plan.spec.columns if c.dataset == run.dataset]
    found = [run.shown(record, c) for c in columns if c.protocol in run.protocols]
    return {e.checkpoint for e in found if e is not None}
