"""Figures of a table, each as SVG and PNG: scores by seed, score against cost, search, curves."""

import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.core.files import write_atomically
from benchmarks.core.plotting import plotting
from benchmarks.tables.analysis.cells import Table
from benchmarks.tables.plan.planned_run import fingerprint_of
from benchmarks.tables.spec import Column

__all__ = ["write_figures"]

WIDTH, ROW_HEIGHT = 6.4, 0.32  # inches
COUNTS_MODES = ("modes", "classes")
INK, BAND = "#1f4e79", "#9dc3e6"
STYLE: Any = {
    "svg.hashsalt": "dgmbench",  # or two runs give different files
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def write_figures(table: Table, folder: Path) -> list[Path]:
    """Write the figures that the table has values for; return the paths of the SVGs.

    `scores`: every seed's value and the t interval of the mean, by row; `cost`: mean score against
    device-hours; `search`: best score against the number of configurations; `curves`: scores of
    snapshots against images seen; `coverage`: modes covered.
    """
    written = []
    with plotting(STYLE) as pyplot:
        for name, draw in FIGURES.items():
            figure = draw(table)
            target = folder / f"{name}.svg"
            if figure is None:
                for old in (target, target.with_suffix(".png")):
                    old.unlink(missing_ok=True)
                continue
            _save(figure, target, metadata={"Date": None})
            _save(figure, target.with_suffix(".png"), dpi=110)
            pyplot.close(figure)
            written.append(target)
    return written


def _save(figure: Any, path: Path, **settings: Any) -> None:
    """Draw a figure as what its file's name ends in."""
    out = io.BytesIO()
    figure.savefig(out, format=path.suffix[1:], bbox_inches="tight", **settings)
    write_atomically(path, out.getvalue())


def _axes(heights: list[float]) -> tuple[Any, list[Any]]:
    from matplotlib import pyplot  # lazily: it takes half a second

    figure, axes = pyplot.subplots(
        len(heights),
        1,
        figsize=(WIDTH, sum(heights)),
        squeeze=False,
        height_ratios=heights,
        layout="constrained",
    )
    return figure, [axis[0] for axis in axes]


def _scores(table: Table) -> Any:
    shown = [(c, _rows_with_values(table, c)) for c in table.plan.spec.columns]
    shown = [(column, rows) for column, rows in shown if rows]
    if not shown:
        return None
    figure, axes = _axes([0.9 + ROW_HEIGHT * len(rows) for _, rows in shown])
    for axis, (column, rows) in zip(axes, shown, strict=True):
        for y, label in enumerate(reversed(rows)):
            ours = table.cells[label, column.label].statistics
            axis.plot(ours.values, [y] * ours.n, "o", color=INK, markersize=3, alpha=0.6)
            if ours.interval is not None:
                axis.plot(ours.interval, [y, y], "-", color=BAND, linewidth=4, zorder=0)
            theirs = table.cells[label, column.label].published
            if theirs is not None:
                axis.plot([theirs.value], [y], "d", color="#c55a11", markersize=4)
        axis.set_yticks(range(len(rows)), list(reversed(rows)))
        _scale(axis.set_xscale, [v for r in rows for v in _values(table, r, column)])
        axis.set_xlabel(f"{column.label} ({column.better} is better)")
    axes[0].set_title("dots: seeds; bars: 95 % t interval; diamonds: published", fontsize=8)
    return figure


def _cost(table: Table) -> Any:
    shown = []
    for column in table.plan.spec.columns:
        points = [
            (cost.device_hours, mean, row.label)
            for row in table.plan.spec.rows
            if (cost := table.costs.get((row.label, column.dataset))) is not None
            and cost.device_hours
            and (cell := table.cells.get((row.label, column.label))) is not None
            and (mean := cell.statistics.mean) is not None
        ]
        if len(points) > 1:
            shown.append((column, points))
    if not shown:
        return None
    figure, axes = _axes([3.2] * len(shown))
    for axis, (column, points) in zip(axes, shown, strict=True):
        for hours, mean, label in points:
            axis.plot([hours], [mean], "o", color=INK, markersize=4)
            axis.annotate(label, (hours, mean), (4, 3), textcoords="offset points", fontsize=7)
        axis.set_xscale("log")
        _scale(axis.set_yscale, [mean for _, mean, _ in points])
        axis.set_xlabel("device-hours of training")
        axis.set_ylabel(f"{column.label} ({column.better} is better)")
    return figure


def _search(table: Table) -> Any:
    shown = [
        (f"{label} on {dataset}, {phase}", curve, found.biased.get(phase, ()))
        for (label, dataset), found in table.searches.items()
        for phase, curve in found.curves.items()
        if curve
    ]
    if not shown:
        return None
    figure, axes = _axes([2.6] * len(shown))
    for axis, (title, curve, biased) in zip(axes, shown, strict=True):
        points = [p for p in curve if math.isfinite(p.median)]
        finite = [p for p in points if math.isfinite(p.lower) and math.isfinite(p.upper)]
        axis.plot([p.k for p in points], [p.median for p in points], "o-", color=INK, markersize=4)
        axis.fill_between(
            [p.k for p in finite],
            [p.lower for p in finite],
            [p.upper for p in finite],
            color=BAND,
            alpha=0.5,
            linewidth=0,
        )
        if biased:
            ks, medians = [p.k for p in biased], [p.median for p in biased]
            axis.plot(
                ks, medians, "--", color="gray", label="with replacement: biased to the worse"
            )
            axis.legend(fontsize=7, frameon=False)
        ticks = [
            f"{p.k}\n{p.all_failed:.0%} all fail" if p.all_failed else str(p.k) for p in curve
        ]
        few = slice(None, None, max(len(curve) // 10, 1))
        axis.set_xticks([p.k for p in curve][few], ticks[few])
        axis.set_xlabel("configurations drawn without replacement")
        axis.set_ylabel("best score")
        axis.set_title(f"{title}: median and quartiles", fontsize=8)
    return figure


def _curves(table: Table) -> Any:
    shown = [(c, list(_curves_of(table, c))) for c in table.plan.spec.columns]
    shown = [(column, curves) for column, curves in shown if curves]
    if not shown:
        return None
    figure, axes = _axes([3.2] * len(shown))
    for axis, (column, curves) in zip(axes, shown, strict=True):
        labels = list(dict.fromkeys(label for label, _ in curves))
        for label, points in curves:
            colour = f"C{labels.index(label) % 10}"
            axis.plot(*zip(*points, strict=True), color=colour, linewidth=1, alpha=0.8)
        for i, label in enumerate(labels):
            axis.plot([], [], color=f"C{i % 10}", label=label)
        axis.legend(fontsize=7, frameon=False)
        _scale(axis.set_yscale, [value for _, points in curves for _, value in points])
        axis.set_xlabel("images seen")
        axis.set_ylabel(f"{column.label} ({column.better} is better)")
    return figure


def _curves_of(table: Table, column: Column) -> Iterator[tuple[str, list[tuple[int, float]]]]:
    """Yield row and (images seen, score) of every run that was scored at two snapshots or more."""
    for run in table.plan.runs:
        record = table.records.get(run.key)
        if record is None or run.dataset != column.dataset:
            continue
        points = {
            e.images_seen: value
            for e in record.evaluations
            if (e.fingerprint, e.weights) == (fingerprint_of(column.protocol), run.weights)
            and e.checkpoint != "best"
            and (value := e.metrics.get(column.metric)) is not None
        }
        if len(points) > 1:
            yield run.row.label, sorted(points.items())


def _rows_with_values(table: Table, column: Column) -> list[str]:
    return [r.label for r in table.plan.spec.rows if _values(table, r.label, column)]


def _values(table: Table, label: str, column: Column) -> tuple[float, ...]:
    cell = table.cells.get((label, column.label))
    return cell.statistics.values if cell is not None else ()


def _scale(set_scale: Callable[[str], None], values: list[float]) -> None:
    """Choose a logarithmic axis for positive values over more than a factor of 20."""
    if values and min(values) > 0 and max(values) / min(values) > 20:
        set_scale("log")


def _coverage(table: Table) -> Any:
    """Draw how many modes each row covers, the published number beside it."""
    columns = [c for c in table.plan.spec.columns if c.metric in COUNTS_MODES]
    shown = [(c, rows) for c in columns if (rows := _rows_with_values(table, c))]
    if not shown:
        return None
    figure, axes = _axes([0.9 + ROW_HEIGHT * len(rows) for _, rows in shown])
    for axis, (column, rows) in zip(axes, shown, strict=True):
        for y, label in enumerate(reversed(rows)):
            cell = table.cells[label, column.label]
            axis.barh([y], [cell.statistics.mean], color=BAND)
            axis.annotate(f" {cell.statistics.text(1)}", (cell.statistics.mean, y), fontsize=7)
            if cell.published is not None:
                axis.plot([cell.published.value], [y], "d", color="#c55a11", markersize=4)
        axis.set_yticks(range(len(rows)), list(reversed(rows)))
        axis.set_xlabel(f"{column.label}: mean over seeds")
    return figure


FIGURES: dict[str, Callable[[Table], Any]] = {
    "scores": _scores,
    "cost": _cost,
    "search": _search,
    "curves": _curves,
    "coverage": _coverage,
}
