"""The names of the values that a protocol gives, without loading what it measures with."""

from functools import lru_cache
from importlib import import_module
from typing import Any

import hydra.utils

from benchmarks.config.compose import compose_group
from benchmarks.core.errors import UserError, suggest
from benchmarks.tables.spec import TableSpec

__all__ = ["check_metrics", "main_value", "metric_names"]


def check_metrics(spec: TableSpec) -> None:
    """Refuse a column whose protocol, or the selecting one, has no such metric.

    Raises:
        UserError: naming the column, and the metrics there are.
    """
    for column in spec.columns:
        known = metric_names(column.protocol)
        if column.metric not in known:
            raise UserError(
                f"table {spec.name}: column {column.label!r}: protocol {column.protocol} has no "
                f"metric {column.metric!r}{suggest(column.metric, known)}"
            )
        selectors = (spec.selected_by, spec.search.selected_by if spec.search else None)
        for name in filter(None, selectors):
            if column.metric not in metric_names(name):
                raise UserError(
                    f"table {spec.name}: selected_by must be a protocol with the metric "
                    f"{column.metric} of column {column.label!r}, got {name}"
                )


@lru_cache
def metric_names(protocol: str) -> tuple[str, ...]:
    """Return the names of a protocol's values."""
    cfg = compose_group("protocol", protocol)
    if "extractor" not in cfg:
        return tuple(hydra.utils.instantiate(cfg).value_names)
    names: list[str] = []
    for name, metric in cfg.metrics.items():
        names += _class(metric._target_).value_names or (name,)
    return tuple(names)


@lru_cache
def main_value(protocol: str) -> tuple[str, bool] | None:
    """Return a protocol's first value, and whether higher is better; None where neither is."""
    cfg = compose_group("protocol", protocol)
    if "extractor" not in cfg:
        found: tuple[str, bool] | None = hydra.utils.instantiate(cfg).main_value
        return found
    # lazily: torch takes a second, and only sweeps ask
    from benchmarks.evaluation.protocols.base import first_value

    return first_value({name: _class(metric._target_) for name, metric in cfg.metrics.items()})


def _class(target: str) -> Any:
    module, _, name = target.rpartition(".")
    return getattr(import_module(module), name)
