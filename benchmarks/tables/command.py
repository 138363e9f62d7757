"""`dgmbench table T`: plan, run what is missing in processes of their own, render."""

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.compose import compose
from benchmarks.errors import UserError, suggest
from benchmarks.paths import check_writable, outputs_dir
from benchmarks.records import Record, write_atomically
from benchmarks.tables.cells import Table, join
from benchmarks.tables.estimate import describe_work, known_rates
from benchmarks.tables.figure import newest_grid, samples_figure
from benchmarks.tables.figures import write_figures
from benchmarks.tables.formats import to_csv, to_json, to_latex, to_markdown, to_terminal
from benchmarks.tables.metric_names import check_metrics
from benchmarks.tables.plan import Plan, check_passed_on, default_jobs, make_plan
from benchmarks.tables.planned import ENDED_WITHOUT, Key, PlannedRun, fingerprint_of
from benchmarks.tables.pool import run_all
from benchmarks.tables.render import rendered
from benchmarks.tables.spec import TableSpec, load_spec

__all__ = ["Choice", "run_table", "sample_grids", "write_table"]


@dataclass(frozen=True)
class Choice:
    """Which of a table's runs are worked on.

    Attributes:
        seeds: Number of seeds; None for the specification's.
        configurations: Of each phase of a search; None for the specification's.
        rows: Labels or experiments; empty for all.
        columns: Labels or data sets; empty for all.
        retry: Of "failed" and "diverged", which are done again.
        published: Count published records as done, too.
    """

    seeds: int | None = None
    configurations: int | None = None
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    retry: Collection[str] = ()
    published: bool = False


def run_table(
    name: str, overrides: Sequence[str], jobs: int | None, choice: Choice, dry_run: bool = False
) -> int:
    """Complete a table and print it.

    Args:
        name: Of the table.
        overrides: Of trainer, logger and threads, passed on to every run.
        jobs: Runs side by side; None for the number of cores, or for 1 on GPUs.
        choice: Which runs.
        dry_run: Print what would be done, and its cost.

    Returns:
        0, or 1 where a run left no result.
    """
    spec = load_spec(name)
    check_passed_on(spec, overrides)
    if jobs is not None and jobs < 1:
        raise UserError(f"jobs must be >= 1, got {jobs}")
    _check_choice(spec, choice)
    check_metrics(spec)
    plan = make_plan(spec, choice.seeds, choice.configurations)
    folder = outputs_dir() / "tables" / spec.name
    if not dry_run:
        check_writable(folder)
    plan, failed = _complete(plan, overrides, jobs, choice, dry_run)
    if dry_run:
        return 0
    table = join(plan, plan.records(choice.published))
    figure = write_table(table, folder)
    samples_figure([(run.row.label, grid) for run, grid in sample_grids(plan)], figure)
    print(to_terminal(rendered(table)))
    if "logger=wandb" in overrides:
        _log_to_wandb(table, folder, figure, overrides)
    print(f"\n{folder / 'table.md'}, table.csv, table.tex, table.json, {figure.name}")
    for line in failed:
        print(f"dgmbench: {line}", file=sys.stderr)
    return 1 if failed else 0


def _log_to_wandb(table: Table, folder: Path, samples: Path, overrides: Sequence[str]) -> None:
    from benchmarks.report.page import page_of
    from benchmarks.report.wandb_logger import log_table

    laid_out, name = rendered(table), table.plan.spec.name
    write_atomically(folder / "report.html", page_of([table]))
    files = [folder / "report.html", *sorted((folder / "figures").glob("*"))]
    files += [samples] if samples.exists() else []
    experiment = next((row.experiment for row in table.plan.spec.rows if row.experiment), None)
    if experiment is None:  # nothing of ours to log
        return
    logger = compose([f"experiment={experiment}", *overrides]).cfg.logger
    settings = {key: logger[key] for key in ("project", "entity", "mode")}
    marks = {f"{c.protocol}:{fingerprint_of(c.protocol)[:12]}" for c in table.plan.spec.columns}
    tags = [f"table:{name}", *sorted(marks)]
    header = [
        f"{laid_out.header[i - 1]}, published" if head == "published" else head
        for i, head in enumerate(laid_out.header)
    ]
    log_table(name, header, laid_out.lines, files, folder / "logs", settings, tags)


def _complete(
    plan: Plan, overrides: Sequence[str], jobs: int | None, choice: Choice, dry_run: bool
) -> tuple[Plan, list[str]]:
    """Run what is missing: first all searches, then the seeds of their best configurations.

    Returns:
        The plan with those seeds, and a line for each run without result.
    """
    failed: list[str] = []
    tried: set[str] = set()
    while True:
        records = plan.records(choice.published)
        with_best = plan.with_best(records)
        if len(with_best.runs) > len(plan.runs):
            plan, records = with_best, with_best.records(choice.published)
        chosen = [r for r in plan.all_runs if _is_chosen(r, plan.spec, choice)]
        missing = [
            r
            for r in chosen
            if r.label not in tried and not r.is_done(records.get(r.key), choice.retry)
        ]
        if dry_run:
            print("\n".join(_work(plan, missing, records)))
            return plan, []
        if not missing:
            break
        print(f"{len(chosen)} runs, {len(chosen) - len(missing)} of them done")
        tried |= {r.label for r in missing}
        ready = _ready(missing)
        for run in ready:
            _forget_divergence(run, records.get(run.key))
        rates = known_rates(ready, plan.records(True))
        failed += run_all(ready, overrides, jobs or default_jobs(plan.spec, overrides), rates)
    before = [
        run.label
        for run in chosen
        if (record := records.get(run.key)) is not None
        and record.status == "failed"
        and run.label not in tried
    ]
    if before:
        failed.append(
            f"{len(before)} run(s) failed before ({', '.join(before[:5])}); "
            "--retry failed does them again"
        )
    return plan, failed


def _work(
    plan: Plan, missing: Sequence[PlannedRun], records: Mapping[Key, Record]
) -> Iterator[str]:
    """Yield what a dry run prints."""
    rates = known_rates(missing, {**plan.records(True), **records})
    yield from describe_work(missing, plan.all_runs, rates)
    searched = {(r.row.label, r.dataset) for r in plan.searched}
    ahead = len(searched - {(r.row.label, r.dataset) for r in plan.runs})
    if ahead:
        yield f"then {plan.seeds} seed(s) of the best of each of {ahead} search(es)"


def _ready(missing: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Return the runs that this machine has everything for; name what the others lack."""
    lacks = {run: run.lacks() for run in missing}
    for line in dict.fromkeys(filter(None, lacks.values())):
        print(f"left out: {line}")
    return [run for run, lack in lacks.items() if lack is None]


def _forget_divergence(run: PlannedRun, record: Record | None) -> None:
    """Put a diverged run aside that is to be done again: it would only say so once more."""
    if record is None or record.status != "diverged" or not run.run.record_path.exists():
        return
    with run.run.locked():
        for path in run.run.checkpoints.glob("*"):
            path.unlink()
        run.run.record_path.replace(run.run.folder / "record.diverged.json")


def _check_choice(spec: TableSpec, choice: Choice) -> None:
    rows = {row.label for row in spec.rows} | {row.experiment or row.label for row in spec.rows}
    columns = {c.label for c in spec.columns} | {c.dataset for c in spec.columns}
    for kind, asked, known in (("rows", choice.rows, rows), ("columns", choice.columns, columns)):
        for name in asked:
            if name not in known:
                raise UserError(
                    f"{kind} must be of table {spec.name}, got {name!r}{suggest(name, known)}"
                )
    for kind in choice.retry:
        if kind not in ENDED_WITHOUT:
            raise UserError(f"retry must be of {', '.join(ENDED_WITHOUT)}, got {kind!r}")


def _is_chosen(run: PlannedRun, spec: TableSpec, choice: Choice) -> bool:
    if choice.rows and not {run.row.label, run.row.experiment} & set(choice.rows):
        return False
    labels = {c.label for c in spec.columns if c.dataset == run.dataset}
    return not choice.columns or bool({run.dataset, *labels} & set(choice.columns))


def write_table(table: Table, folder: Path) -> Path:
    """Write the table in every format, with figures; return the path of the samples picture."""
    laid_out = rendered(table)
    write_atomically(folder / "table.md", to_markdown(laid_out))
    write_atomically(folder / "table.csv", to_csv(laid_out))
    write_atomically(folder / "table.tex", to_latex(laid_out))
    write_atomically(folder / "table.json", to_json(table))
    write_figures(table, folder / "figures")
    return folder / "samples.png"


def sample_grids(plan: Plan) -> list[tuple[PlannedRun, Path]]:
    """Return the first seed of each row, with its grid, where there is one."""
    grids = [(run, newest_grid(run.run.samples)) for run in plan.runs if run.seed == 0]
    return [(run, grid) for run, grid in grids if grid is not None]
