"""The plan of a table: rows x columns x seeds -> run ids. It joins, and never globs a folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from benchmarks.config.compose import Composed, compose, compose_for, compose_group, with_values
from benchmarks.config.identity import images_run_id, run_id, without_seed
from benchmarks.config.settings import CONFIG_ERRORS
from benchmarks.core.errors import UserError, leave_out, one_line, user_errors
from benchmarks.core.redaction import check_no_secret
from benchmarks.core.seeds import phase_seed
from benchmarks.runs.record import Record, better, many_records, read_record
from benchmarks.tables.plan.asked import images_per_step, needs_model
from benchmarks.tables.plan.planned_run import Key, PlannedRun, published_record_path
from benchmarks.tables.plan.search import configuration, hasher, load_space
from benchmarks.tables.plan.selection import best_of, searched_column
from benchmarks.tables.spec import MOST_SEEDS, Column, Row, TableSpec

__all__ = ["Plan", "check_passed_on", "make_plan"]

PASSED_ON = (
    *("trainer", "logger", "threads", "channels_last", "compile", "data_on_device"),
    "callbacks",
)


@dataclass(frozen=True)
class Plan:
    """A table's runs.

    Attributes:
        spec: The table.
        runs: Those whose scores are shown, by row, data set and seed.
        searched: Those of a search, by row, data set, phase and configuration.
        seeds: Number of seeds.
    """

    spec: TableSpec
    runs: tuple[PlannedRun, ...]
    searched: tuple[PlannedRun, ...] = ()
    seeds: int = 1

    @cached_property
    def all_runs(self) -> tuple[PlannedRun, ...]:
        """Each run once: two phases of a search may draw the same values."""
        return tuple({r.key: r for r in (*self.runs, *self.searched)}.values())

    @cached_property
    def _cells(self) -> dict[tuple[str, str], list[PlannedRun]]:
        return _by_cell(self.runs)

    @cached_property
    def _searched_cells(self) -> dict[tuple[str, str], list[PlannedRun]]:
        return _by_cell(self.searched)

    def cell(self, row: Row, column: Column) -> list[PlannedRun]:
        """Return the runs of one cell, by seed; none where the row is not for the data set."""
        return self._cells.get((row.label, column.dataset), [])

    def search_of(self, row: Row, dataset: str) -> list[PlannedRun]:
        """Return the runs of a row's search on a data set."""
        return self._searched_cells.get((row.label, dataset), [])

    def records(self, published: bool, outputs: bool = True) -> dict[Key, Record]:
        """Return the records there are, by (experiment, dataset, run id); of two, the better."""
        with many_records():
            return {
                planned.key: record
                for planned in self.all_runs
                if (record := self.record_of(planned, published, outputs)) is not None
            }

    def record_of(
        self, planned: PlannedRun, published: bool, outputs: bool = True
    ) -> Record | None:
        """Return the record of one run, the better of two; None where there is none."""
        local = _read(planned.run.record_path) if outputs else None
        public = _read(published_record_path(self.spec.name, planned)) if published else None
        return better(local, public)

    def complete(self, published: bool, outputs: bool = True) -> tuple["Plan", dict[Key, Record]]:
        """Return the plan with the seeds of each ended search's best, and all its records."""
        plan = self.with_best(self.records(published, outputs))
        return plan, plan.records(published, outputs)

    def with_best(self, records: Mapping[Key, Record]) -> "Plan":
        """Return the plan with the seeds of each ended search's best configuration."""
        found = list(self.runs)
        for (label, dataset), searched in self._searched_cells.items():
            best = best_of(self.spec, searched, records)
            if best is not None and (label, dataset) not in self._cells:
                found += _seeds_of(best, self.spec, self.seeds)
        order = {row.label: i for i, row in enumerate(self.spec.rows)}
        found.sort(key=lambda run: order[run.row.label])  # stable
        return replace(self, runs=tuple(found))


def _by_cell(runs: Sequence[PlannedRun]) -> dict[tuple[str, str], list[PlannedRun]]:
    found: dict[tuple[str, str], list[PlannedRun]] = {}
    for run in runs:
        found.setdefault((run.row.label, run.dataset), []).append(run)
    return found


def _seeds_of(best: PlannedRun, spec: TableSpec, seeds: int) -> list[PlannedRun]:
    protocols = tuple(p for p in best.protocols if p in _protocols(spec, best.dataset))
    stem = without_seed(best.run_id)
    return [
        replace(
            best,
            seed=s,
            run_id=f"{stem}-s{s}",
            protocols=protocols,
            phase=None,
            configuration=None,
        )
        for s in range(1, seeds + 1)  # seed 0 was chosen for its score
    ]


def make_plan(
    spec: TableSpec, seeds: int | None = None, configurations: int | None = None
) -> Plan:
    """Compose each (experiment, data set) once and derive the ids of all seeds.

    Args:
        spec: The table.
        seeds: Number of seeds; None for the specification's.
        configurations: The number of configurations of each phase of its search; None for the
            specification's.

    Raises:
        UserError: if seeds or configurations are below 1, or a row or column does not resolve.
    """
    seeds = spec.seeds if seeds is None else seeds
    _check_seeds(seeds)
    if configurations is not None:
        if spec.search is None:
            raise UserError(f"table {spec.name} has no search, so no configurations")
        if configurations < 1:
            raise UserError(f"configurations must be >= 1, got {configurations}")
        phases = dict.fromkeys(spec.search.phases, configurations)
        spec = replace(spec, search=replace(spec.search, phases=phases))
    _check_names(spec)
    runs: list[PlannedRun] = []
    searched: list[PlannedRun] = []
    for row in spec.rows:
        for dataset in dict.fromkeys(c.dataset for c in spec.columns):
            protocols = _protocols(spec, dataset)
            if row.images is not None:
                runs += _images_run(spec, row, dataset, protocols)
            elif row.search is not None:
                searched += _search_runs(spec, row, dataset, protocols)
            elif row.experiment is not None:
                runs += _training_runs(spec, row, dataset, protocols, seeds)
    _check_columns(spec, [*runs, *searched])
    _check_rows(spec, runs)
    return Plan(spec, tuple(runs), tuple(searched), seeds)


def _check_seeds(seeds: int) -> None:
    if seeds < 1:
        raise UserError(f"seeds must be >= 1, got {seeds}")
    if seeds > MOST_SEEDS:
        raise UserError(f"seeds must be <= {MOST_SEEDS}, got {seeds}")


def _check_columns(spec: TableSpec, runs: Sequence[PlannedRun]) -> None:
    """Refuse a column that no row of ours is scored for."""
    if not runs:
        return  # a table of published numbers
    scored = {(run.dataset, protocol) for run in runs for protocol in run.protocols}
    for column in spec.columns:
        if (column.dataset, column.protocol) not in scored:
            raise UserError(
                f"table {spec.name}: column {column.label!r}: no row is scored under "
                f"{column.protocol} on {column.dataset}"
            )


def _check_rows(spec: TableSpec, runs: Sequence[PlannedRun]) -> None:
    """Refuse two rows of the same runs, of which overrides make no others."""
    first: dict[Key, PlannedRun] = {}
    for run in runs:
        other = first.setdefault(run.key, run)
        if other.row != run.row and (other.values or run.values):
            raise UserError(
                f"table {spec.name}: overrides of rows {other.row.label!r} and {run.row.label!r} "
                f"must make runs that differ on {run.dataset}, got the same"
            )


def check_passed_on(spec: TableSpec, overrides: Sequence[str]) -> None:
    """Refuse overrides that would change what a table's runs are, or that do not compose."""
    with user_errors(ValueError):  # they stand in the jobs' files, and in records
        check_no_secret(list(overrides), "overrides")
    for override in overrides:
        name = override.lstrip("+~").split("=")[0].split(".")[0]
        if name not in PASSED_ON:
            raise UserError(
                f"a table passes on overrides of {', '.join(PASSED_ON)} only, got {override!r}"
            )
    if spec.first_experiment is not None:
        compose([f"experiment={spec.first_experiment}", *overrides])


def _protocols(spec: TableSpec, dataset: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(c.protocol for c in spec.columns if c.dataset == dataset))


def _images_run(
    spec: TableSpec, row: Row, dataset: str, protocols: tuple[str, ...]
) -> list[PlannedRun]:
    assert row.images is not None
    data = compose_group("datamodule", dataset)
    protocols = tuple(p for p in protocols if not needs_model(p))
    if not protocols:
        return []
    identifier = images_run_id(row.images, data)
    return [PlannedRun(row, dataset, 0, "images", identifier, protocols, table=spec.name)]


def _training_runs(
    spec: TableSpec, row: Row, dataset: str, protocols: tuple[str, ...], seeds: int
) -> list[PlannedRun]:
    try:
        composed = _composed(row, dataset)
        stem = "" if composed is None else without_seed(run_id(composed.cfg))
    except (UserError, *CONFIG_ERRORS) as error:
        if not row.overrides:
            raise
        where = f"table {spec.name}: overrides of row {row.label!r} on {dataset}"
        raise UserError(f"{where}: {one_line(error)}") from error
    if composed is None:
        return []
    own = tuple(p for p in protocols if p in composed.cfg.protocols)
    first = PlannedRun(
        row,
        dataset,
        0,
        composed.experiment,
        f"{stem}-s0",
        own,
        composed.cfg.images_seen,
        composed.cfg.weights,
        () if spec.selection == "none" else _snapshots(spec, composed.cfg, composed.experiment),
        spec.selected_by,
        tuple((row.overrides or {}).items()),
        table=spec.name,
    )
    chosen = range(row.first_seed, row.first_seed + seeds)
    return [replace(first, seed=seed, run_id=f"{stem}-s{seed}") for seed in chosen]


def _search_runs(
    spec: TableSpec, row: Row, dataset: str, protocols: tuple[str, ...]
) -> list[PlannedRun]:
    """Return the runs of a row's search on a data set."""
    assert spec.search is not None
    assert row.search is not None
    base = _training_runs(spec, row, dataset, protocols, 1)
    if not base:
        return []
    by = spec.search.selected_by
    wanted = searched_column(spec, dataset).protocol
    if by is None and wanted not in base[0].protocols:
        raise UserError(
            f"table {spec.name}: row {row.label!r} cannot be searched on {dataset}: "
            f"{row.experiment} is not scored under {wanted}, the protocol of its first column"
        )
    first = replace(base[0], protocols=(*base[0].protocols, *([by] if by else [])))
    composed = _composed(row, dataset)
    assert composed is not None
    found = []
    for number, (phase, count) in enumerate(spec.search.phases.items()):
        space = load_space(row.search[phase])
        hashed = hasher(composed.cfg, configuration(space, spec.search.seed, 0))
        for i in range(count):
            if i == 0 and spec.search.begins_with_defaults(phase):
                found.append(replace(first, phase=phase, configuration=0))  # as it stands
                continue
            values = configuration(space, phase_seed(spec.search.seed, number), i)
            identifier = f"{hashed(values)}-r{composed.cfg.revision}-s0"
            found.append(
                replace(
                    first,
                    run_id=identifier,
                    values=tuple(values.items()),
                    phase=phase,
                    configuration=i,
                    snapshots=_snapshots_with(spec, composed, values),
                )
            )
    return found


def _snapshots_with(
    spec: TableSpec, composed: Composed, values: Mapping[str, Any]
) -> tuple[int, ...]:
    if spec.selection == "none":
        return ()
    return _snapshots(spec, with_values(composed.cfg, values), composed.experiment)


def _snapshots(spec: TableSpec, cfg: DictConfig, experiment: str) -> tuple[int, ...]:
    """Return the images_seen at which a run keeps snapshots: the first step at or past each."""
    every, step = cfg.snapshot_every_images, images_per_step(cfg.model)
    budget = cfg.images_seen // step * step
    if every is None or every > budget:
        raise UserError(
            f"table {spec.name}: selection {spec.selection} needs snapshots, and "
            f"snapshot_every_images of {experiment} on {cfg.datamodule.name} is {every}"
        )
    at = (-(-k * every // step) * step for k in range(1, budget // every + 1))
    return tuple(dict.fromkeys(images for images in at if images <= budget))


def _check_names(spec: TableSpec) -> None:
    """Data sets and protocols exist, and a selector on validation images looks at those."""
    for column in spec.columns:
        compose_group("datamodule", column.dataset)
        compose_group("protocol", column.protocol)
    for name in (spec.selected_by, spec.search.selected_by if spec.search else None):
        if name is None:
            continue
        cfg = compose_group("protocol", name)
        split = cfg.get("real_split", cfg.get("split"))
        if split != "validation":
            raise UserError(
                f"table {spec.name}: selected_by must be a protocol on the validation split, "
                f"got {name} on {split}"
            )


def _composed(row: Row, dataset: str) -> Composed | None:
    """Compose a row on a data set, with what it sets; None where it is not for it."""
    assert row.experiment is not None
    return _compose(row.experiment, dataset, json.dumps(row.overrides or {}))


@lru_cache(maxsize=256)
def _compose(experiment: str, dataset: str, overrides: str) -> Composed | None:
    return compose_for(experiment, dataset, json.loads(overrides))


def _read(path: Path) -> Record | None:
    """Return a record; one that cannot be read is named, and is none of the table's."""
    try:
        return read_record(path)
    except ValueError as error:
        leave_out(one_line(error))
        return None
