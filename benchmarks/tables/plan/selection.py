"""Which configuration of a search is the best."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmarks.runs.record import Record
from benchmarks.tables.plan.planned_run import Key, PlannedRun
from benchmarks.tables.spec import Column, TableSpec

__all__ = ["best_of", "search_score", "searched_column"]


def search_score(spec: TableSpec, run: PlannedRun, record: Record | None) -> float | None:
    """Return what a search goes by: a score of the data set's first column; None where it failed.

    Raises:
        KeyError: if the run has not ended.
    """
    assert spec.search is not None
    if not run.is_done(record):
        raise KeyError(run.label)
    assert record is not None
    column = searched_column(spec, run.dataset)
    column = replace(column, protocol=spec.search.selected_by or column.protocol)
    found = run.shown(record, column) if record.status == "finished" else None
    value = None if found is None else found.metrics.get(column.metric)
    return value if value is not None and math.isfinite(value) else None


def searched_column(spec: TableSpec, dataset: str) -> Column:
    """Return the column that a search on a data set goes by: its first."""
    return next(c for c in spec.columns if c.dataset == dataset)


def best_of(
    spec: TableSpec, searched: Sequence[PlannedRun], records: Mapping[Key, Record]
) -> PlannedRun | None:
    """Return the run with the best score; None before all have ended, or where all failed."""
    scores = {}
    for run in searched:
        try:
            scores[run] = search_score(spec, run, records.get(run.key))
        except KeyError:
            return None
    sign = 1 if searched_column(spec, searched[0].dataset).better == "lower" else -1
    finite = {run: sign * value for run, value in scores.items() if value is not None}
    return min(finite, key=finite.__getitem__) if finite else None
