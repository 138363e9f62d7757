"""`dgmbench publish T`: records into results/T/, and the table there and in the README."""

from dataclasses import replace
from pathlib import Path

from benchmarks.config.identity import without_seed
from benchmarks.core.environment import now
from benchmarks.core.errors import UserError, user_errors
from benchmarks.core.files import write_atomically
from benchmarks.core.paths import check_writable, outputs_dir, results_dir
from benchmarks.runs.record import Record, better, read_record
from benchmarks.tables.analysis.cells import Table, join
from benchmarks.tables.ledger import write_page
from benchmarks.tables.plan.plan import Plan, make_plan
from benchmarks.tables.plan.planned_run import published_record_path
from benchmarks.tables.plan.scale import keep_scale, published_scale
from benchmarks.tables.rendering.figure import samples_figure
from benchmarks.tables.rendering.formats import to_markdown
from benchmarks.tables.rendering.metric_names import check_metrics
from benchmarks.tables.rendering.readme import into_readme
from benchmarks.tables.rendering.render import rendered
from benchmarks.tables.rules import judged, register
from benchmarks.tables.run import sample_grids, write_table
from benchmarks.tables.spec import load_spec

__all__ = ["in_short", "publish"]


def publish(name: str, seeds: int | None = None, configurations: int | None = None) -> int:
    """Merge the ended runs of a table into results/ and render it from the merged set.

    Args:
        name: The name of the table.
        seeds: Number of seeds; None for those it was published with, or the specification's.
        configurations: The number of configurations of each phase of its search; None likewise.
    """
    spec = load_spec(name)
    name = spec.name
    before = published_scale(name)
    seeds = before[0] if seeds is None else seeds
    configurations = before[1] if configurations is None else configurations
    check_metrics(spec)
    plan = make_plan(spec, seeds, configurations)
    folder = results_dir() / name
    check_writable(folder)
    plan = plan.with_best(plan.records(published=True))
    added = _merge_records(plan)
    records = plan.records(published=True, outputs=False)
    if not records:
        raise UserError(f"table {name} has no ended run to publish; run: dgmbench table {name}")
    plan = plan.with_best(records)
    keep_scale(name, seeds, configurations)
    register(spec, folder, now(), outputs_dir() / "tables" / name)
    table = judged(join(plan, records), folder)
    figure = write_table(table, folder)
    samples_figure(_merge_grids(plan, folder / "grids"), figure)
    stale = _stale(plan, folder / "records")
    shown = into_readme(name, in_short(table, folder), Path("README.md"))
    print(
        f"{added} records added or renewed, {len(records)} current, {len(stale)} stale: {folder}"
    )
    for path in stale:
        print(f"  stale: {path.name}")
    print("README.md: table renewed" if shown else f"README.md: no `<!-- table: {name} -->` found")
    for renewed in write_page(Path()):
        print(f"{renewed}: verdicts renewed")
    return 0


def _merge_records(plan: Plan) -> int:
    """Copy records that ended and are better than what is published; drop none."""
    added = 0
    for planned in plan.all_runs:
        target = published_record_path(plan.spec.name, planned)
        with user_errors(ValueError):
            record, old = planned.run.record(), read_record(target)
        if record is None or record.status == "interrupted":
            continue
        merged = _merged(record, old)
        if old is None or merged.to_json() != old.to_json():
            merged.write(target)
            added += 1
    return added


def _merged(record: Record, old: Record | None) -> Record:
    """Return the better of two, with the evaluations that only the other one has."""
    kept = better(record, old)
    assert kept is not None
    other = record if kept is old else old
    if other is not None and other.status == kept.status == "finished":
        keys = {e.key for e in kept.evaluations}
        extra = [e for e in other.evaluations if e.key not in keys]
        kept = replace(kept, evaluations=[*kept.evaluations, *extra])
    return kept


def _merge_grids(plan: Plan, folder: Path) -> list[tuple[str, Path]]:
    """Copy each row's grid, by run id, and return those of current runs."""
    fresh = dict(sample_grids(plan))
    found = []
    for planned in plan.runs:
        target = folder / f"{'-'.join(planned.key)}.png"
        if planned in fresh:
            write_atomically(target, fresh[planned].read_bytes())
        if target.exists():
            found.append((planned.row.label, target))
    return found


def _stale(plan: Plan, folder: Path) -> list[Path]:
    """Return published records of other configs or revisions than the plan's; of any seed."""
    names = (published_record_path(plan.spec.name, r).stem for r in plan.all_runs)
    current = set(map(without_seed, names))
    return sorted(p for p in folder.glob("*.json") if without_seed(p.stem) not in current)


def in_short(table: Table, folder: Path) -> str:
    """Return the table as Markdown for the README: notes that marks need, the others linked."""
    laid_out = rendered(table)
    kept = [n for n in laid_out.notes if n == table.plan.spec.note or n.startswith(("†", "*"))]
    link = (
        f"Protocols, statistics, sources and deviations: [{folder}/table.md]({folder}/table.md)."
    )
    return to_markdown(replace(laid_out, notes=(*kept, link)))
