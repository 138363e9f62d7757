"""`dgmbench table T`: plan, let an executor do what is missing, render."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.config.compose import compose
from benchmarks.config.overrides import choices
from benchmarks.core.environment import now
from benchmarks.core.files import write_atomically
from benchmarks.core.paths import check_writable, outputs_dir, results_dir
from benchmarks.core.redaction import redacted
from benchmarks.runs.record import Record
from benchmarks.tables.analysis.cells import Table, join
from benchmarks.tables.executor import Executor
from benchmarks.tables.plan.choice import Choice
from benchmarks.tables.plan.estimate import describe_work, known_rates
from benchmarks.tables.plan.plan import Plan
from benchmarks.tables.plan.planned_run import (
    Key,
    PlannedRun,
    fingerprint_of,
    with_what_they_need,
)
from benchmarks.tables.rendering.figure import newest_grid, samples_figure
from benchmarks.tables.rendering.figures import write_figures
from benchmarks.tables.rendering.formats import to_csv, to_json, to_latex, to_markdown, to_terminal
from benchmarks.tables.rendering.metric_names import check_metrics
from benchmarks.tables.rendering.render import rendered
from benchmarks.tables.rules import judged, register
from benchmarks.tables.spec import TableSpec

__all__ = ["run_table", "sample_grids", "write_table"]


def run_table(
    spec: TableSpec,
    overrides: Sequence[str],
    choice: Choice,
    executor: Executor,
    dry_run: bool = False,
) -> int:
    """Complete a table and print it.

    Args:
        spec: The table.
        overrides: What is passed on to every run, of trainer, logger and threads.
        choice: Which runs are meant.
        executor: Does the runs.
        dry_run: Print what would be done, and its cost, only.

    Returns:
        0, or 1 where a run left no result.
    """
    plan = choice.plan(spec)
    check_metrics(spec)
    if choice.published:
        _tell_of_missing_results(spec)
    folder = outputs_dir() / "tables" / spec.name
    if not dry_run:
        check_writable(folder)
        register(spec, folder, now(), results_dir() / spec.name)  # before the runs
        executor.prepare(plan, choice.published)
    plan, failed = _complete(plan, executor, choice, dry_run)
    if dry_run:
        return 0
    at_work = set(executor.at_work())
    records = {k: r for k, r in plan.records(choice.published).items() if k not in at_work}
    table = judged(join(plan, records), folder)
    figure = write_table(table, folder)
    samples_figure([(run.row.label, grid) for run, grid in sample_grids(plan)], figure)
    print(to_terminal(rendered(table)))
    if "wandb" in choices(overrides, "logger"):
        _log_to_wandb(table, folder, figure, overrides)
    print(f"\n{folder / 'table.md'}, table.csv, table.tex, table.json, {figure.name}")
    for line in executor.closing():
        print(line)
    for line in failed:
        print(f"dgmbench: {line}", file=sys.stderr)
    return 1 if failed else 0


def _tell_of_missing_results(spec: TableSpec) -> None:
    """Say so where there are no published records to count, as outside a clone."""
    records = results_dir() / spec.name / "records"
    if not records.is_dir():
        print(
            f"dgmbench: no records of table {spec.name} are published in {records.absolute()}: "
            "none is counted (those of the suite lie in its clone)",
            file=sys.stderr,
        )


def _log_to_wandb(table: Table, folder: Path, samples: Path, overrides: Sequence[str]) -> None:
    # lazily: Lightning's loggers take seconds, and a dry run renders nothing
    from benchmarks.loggers.wandb_logger import log_table
    from benchmarks.tables.rendering.page import page_of

    laid_out, name = rendered(table), table.plan.spec.name
    write_atomically(folder / "report.html", page_of([table]))
    files = [folder / "report.html", *sorted((folder / "figures").glob("*"))]
    files += [samples] if samples.exists() else []
    experiment = table.plan.spec.first_experiment
    if experiment is None:  # nothing of ours to log
        return
    logger = compose([f"experiment={experiment}", *overrides]).cfg.logger.wandb
    settings = {key: logger[key] for key in ("project", "entity", "mode")}
    marks = {f"{c.protocol}:{fingerprint_of(c.protocol)[:12]}" for c in table.plan.spec.columns}
    tags = [f"table:{name}", *sorted(marks)]
    header = [
        f"{laid_out.header[i - 1]}, published" if head == "published" else head
        for i, head in enumerate(laid_out.header)
    ]
    log_table(name, header, laid_out.lines, files, folder / "logs", settings, tags)


def _complete(
    plan: Plan, executor: Executor, choice: Choice, dry_run: bool
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
        chosen = choice.runs(plan)
        missing = [
            r
            for r in chosen
            if r.label not in tried and not r.is_done(records.get(r.key), choice.retry)
        ]
        if dry_run:
            print("\n".join([*_work(plan, missing, records), *executor.describe(missing)]))
            return plan, []
        if not missing:
            break
        print(f"{len(chosen)} runs, {len(chosen) - len(missing)} of them done")
        tried |= {r.label for r in missing}
        ready = with_what_they_need(missing)
        for run in ready:
            _forget_divergence(run, records.get(run.key))
        rates = known_rates(ready, plan.records(True))
        failed += executor.run(ready, rates)
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


def _forget_divergence(run: PlannedRun, record: Record | None) -> None:
    """Put a diverged run aside that is to be done again: it would only say so once more."""
    if record is None or record.status != "diverged" or not run.run.record_path.exists():
        return
    with run.run.locked():
        for path in run.run.checkpoints.glob("*"):
            path.unlink()
        run.run.record_path.replace(run.run.folder / "record.diverged.json")


def write_table(table: Table, folder: Path) -> Path:
    """Write the table in every format, with figures; return the path of the samples picture."""
    laid_out = rendered(table)
    write_atomically(folder / "table.md", redacted(to_markdown(laid_out)))
    write_atomically(folder / "table.csv", redacted(to_csv(laid_out)))
    write_atomically(folder / "table.tex", redacted(to_latex(laid_out)))
    write_atomically(folder / "table.json", to_json(table))
    write_figures(table, folder / "figures")
    return folder / "samples.png"


def sample_grids(plan: Plan) -> list[tuple[PlannedRun, Path]]:
    """Return the first run of each row and data set, with its grid, where there is one."""
    first: dict[tuple[str, str], PlannedRun] = {}
    for run in plan.runs:
        first.setdefault((run.row.label, run.dataset), run)
    grids = [(run, newest_grid(run.run.samples)) for run in first.values()]
    return [(run, grid) for run, grid in grids if grid is not None]
