"""`dgmbench cancel T`: a table's jobs out of the queue; what runs saves first."""

from dataclasses import replace

from benchmarks.execution.slurm import commands
from benchmarks.execution.slurm.queue import places
from benchmarks.execution.slurm.submissions import all_submissions
from benchmarks.tables.plan.choice import Choice
from benchmarks.tables.spec import load_spec

__all__ = ["cancel_table"]


def cancel_table(name: str, choice: Choice) -> int:
    """Cancel the jobs that hold runs of a table, and say how many.

    Args:
        name: The name of the table.
        choice: Which of its runs.

    Raises:
        UserError: if SLURM does not answer, or for a name the table does not have.
    """
    spec = load_spec(name)
    plan, _ = choice.plan(spec).complete(published=False)
    wanted = {run.key for run in choice.runs(plan)}
    if not choice.rows and not choice.columns:  # also what other numbers of seeds have submitted
        wanted |= {key for s in all_submissions() if s.table == spec.name for key in s.places}
    held = {key: place for key, place in places(wanted).items() if place.active}
    jobs = sorted({p.entry.job for p in held.values() if p.entry is not None})
    commands.cancel(jobs)
    for place in held.values():
        if place.entry is not None and place.entry.state == "PENDING":  # nobody else would
            notes = replace(place.submission.notes(place.task), left="cancelled")
            notes.write(place.submission.notes_path(place.task))
    print(f"cancelled {len(jobs)} job(s) with {len(held)} run(s) of {spec.name}")
    shared = {(p.submission.id, p.task): p for p in held.values()}.values()
    works = [w for p in shared for w in p.submission.jobs[p.task] if w.name not in p.notes.ended]
    others = sum(work.key not in held for work in works)
    if others:
        print(f"these jobs held {others} other run(s), too")
    return 0
