"""The report page: one HTML file that needs no network, with every table, run and figure."""

import base64
import io
import json
import math
import re
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from benchmarks.config.catalogue import flat
from benchmarks.core.files import write_atomically
from benchmarks.core.paths import outputs_dir, results_dir
from benchmarks.core.redaction import redacted_values
from benchmarks.core.version import __version__
from benchmarks.runs.log import read_log
from benchmarks.runs.record import Record, bound_sign
from benchmarks.tables.analysis.cells import Table, join
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.plan.planned_run import PlannedRun, fingerprint_of
from benchmarks.tables.plan.scale import published_scale
from benchmarks.tables.rendering.figure import newest_grid, picture
from benchmarks.tables.rendering.figures import write_figures
from benchmarks.tables.rendering.formats import legend
from benchmarks.tables.rendering.metric_names import check_metrics
from benchmarks.tables.rendering.render import rendered
from benchmarks.tables.spec import load_spec, table_names

__all__ = ["page_of", "report"]

MOST_SAMPLES = 24_000  # bytes of an embedded grid; a larger one is made smaller
SMALLEST = 120  # pixels
POINTS = 120  # of a curve
CURVES = 4  # of a run
NUMBER = re.compile(r"-?[\d,]+(\.\d+)?")


def report(names: Sequence[str], target: Path | None = None) -> Path:
    """Write the page, and the tables' files beside it; return its path.

    Args:
        names: Tables; empty for all that have a record, here or published.
        target: File to write; None for report.html in the working space.
    """
    target = target or outputs_dir() / "report.html"
    tables = [_joined(name) for name in names or filter(_may_have_records, table_names())]
    write_atomically(target, page_of([t for t in tables if t.records or names]))
    return target


def _may_have_records(name: str) -> bool:
    """Return whether a table can have records at all: a plan takes seconds."""
    if (results_dir() / name / "records").exists():
        return True
    experiments = {flat(row.experiment or "images") for row in load_spec(name).rows}
    return any((outputs_dir() / experiment).exists() for experiment in experiments)


def _joined(name: str) -> Table:
    spec = load_spec(name)
    check_metrics(spec)
    return join(*make_plan(spec, *published_scale(name)).complete(published=True))


def page_of(tables: Sequence[Table]) -> str:
    """Return the page; whatever a name or config holds stays text."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("page.html")
    shown = redacted_values({"header": _header(tables), "tables": [_table(t) for t in tables]})
    return template.render(title="dgmbench: results", **shown)


def _header(tables: Sequence[Table]) -> list[tuple[str, str]]:
    records = [record for table in tables for record in table.records.values()]
    found: dict[str, set[str]] = {}
    for record in records:
        for name, version in record.versions.items():
            found.setdefault(name, set()).add(version)
    commits = {str(c)[:12] for r in records if (c := r.code.get("git_commit"))}
    protocols = {c.protocol for t in tables for c in t.plan.spec.columns}
    devices = {str(d) for r in records if (d := r.cost.get("device"))}
    return [
        ("dgmbench", __version__),
        ("runs", str(len(records))),
        ("commits of the records", ", ".join(sorted(commits)) or "–"),
        ("devices", ", ".join(sorted(devices)) or "–"),
        ("versions", ", ".join(f"{n} {' / '.join(sorted(v))}" for n, v in sorted(found.items()))),
        ("protocols", ", ".join(f"{p} {fingerprint_of(p)[:12]}" for p in sorted(protocols))),
    ]


def _table(table: Table) -> dict[str, Any]:
    laid_out = rendered(table)
    lines = [
        [
            {"text": text, "value": _number(text), "best": (i, j) in laid_out.best}
            for j, text in enumerate(line)
        ]
        for i, line in enumerate(laid_out.lines)
    ]
    rows = []
    for row in table.plan.spec.rows:
        own = [r for r in table.plan.all_runs if r.row.label == row.label]
        runs = [
            _run(table, run, table.records[run.key]) for run in own if run.key in table.records
        ]
        rows.append({"label": row.label, "runs": runs})
    return {
        "id": f"table-{table.plan.spec.name}",
        "title": laid_out.title,
        "header": laid_out.header,
        "lines": lines,
        "notes": [*legend(laid_out), *laid_out.notes],
        "figures": list(_figures(table)),
        "rows": [row for row in rows if row["runs"]],
    }


def _number(text: str) -> str:
    """Return what a cell is sorted by: its first number, or nothing."""
    found = NUMBER.search(text)
    return found.group().replace(",", "") if found else ""


def _figures(table: Table) -> Iterator[dict[str, str]]:
    name = table.plan.spec.name
    with tempfile.TemporaryDirectory() as made:
        for path in write_figures(table, Path(made)):
            yield {"name": path.stem, "uri": _uri("image/svg+xml", path.read_bytes())}
    for path in (
        outputs_dir() / "tables" / name / "samples.png",
        results_dir() / name / "samples.png",
    ):
        if path.exists() and picture(path) is not None:
            yield {"name": "samples", "uri": _uri("image/png", path.read_bytes())}
            return


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _run(table: Table, run: PlannedRun, record: Record) -> dict[str, Any]:
    scores = ", ".join(
        f"{name} {bound_sign(e, name)}{value:.5g}"
        for e in record.evaluations
        if (e.fingerprint, e.weights) in {(mark, run.weights) for mark in run.fingerprints}
        and e.checkpoint in ("last", "images")
        for name, value in e.metrics.items()
        if value is not None
    )
    values = json.loads(record.to_json())
    config = values.pop("config")
    return {
        "label": run.label,
        "status": record.status,
        "reason": record.reason,
        "scores": scores,
        "command": _command(run, record),
        "samples": _samples(table, run),
        "curves": list(_curves(run.run.logs / "metrics.csv")),
        "config": json.dumps(config, indent=1, ensure_ascii=False),
        "record": json.dumps(values, indent=1, ensure_ascii=False),
    }


def _command(run: PlannedRun, record: Record) -> str:
    """Return what does this run again, with what its own command line gave beside the plan's."""
    planned = [a for a in run.command([]) if a != "--no-bar"]
    keys = {a.split("=")[0] for a in planned}
    own = [o for o in record.overrides if o.split("=")[0].lstrip("+") not in keys]
    return shlex.join(["dgmbench", *planned, *own])


def _samples(table: Table, run: PlannedRun) -> str | None:
    """Return a run's newest grid as a data URI, made smaller until it is small enough."""
    name = f"{'-'.join(run.key)}.png"
    published = results_dir() / table.plan.spec.name / "grids" / name
    path = newest_grid(run.run.samples) or (published if published.exists() else None)
    if path is None:
        return None
    image = picture(path)
    return None if image is None else _uri("image/png", _smaller(path.read_bytes(), image))


def _smaller(content: bytes, image: Image.Image) -> bytes:
    """Return a file's content, or that of a smaller picture where it is too large."""
    while len(content) > MOST_SAMPLES and min(image.size) > SMALLEST:
        image = image.resize((image.width * 3 // 4, image.height * 3 // 4))
        out = io.BytesIO()
        image.quantize(64).save(out, format="PNG", optimize=True)
        content = out.getvalue()
    return content


def _curves(path: Path) -> Iterator[dict[str, str]]:
    """Yield the first few logged training quantities of a run, where its log is here."""
    series: dict[str, list[tuple[float, float]]] = {}
    for images_seen, name, value in read_log(path):
        if name.startswith("train/") and math.isfinite(float(value)):
            series.setdefault(name, []).append((float(images_seen), float(value)))
    for name, points in list(series.items())[:CURVES]:
        points = points[:: max(len(points) // POINTS, 1)]
        if len(points) > 1:
            yield {
                "name": name,
                "path": _path(points),
                "first": f"{points[0][1]:.3g}",
                "last": f"{points[-1][1]:.3g}",
            }


def _path(points: Sequence[tuple[float, float]]) -> str:
    xs, ys = zip(*points, strict=True)
    width, height = max(max(xs) - min(xs), 1e-12), max(max(ys) - min(ys), 1e-12)
    scaled = [
        (5 + 290 * (x - min(xs)) / width, 95 - 80 * (y - min(ys)) / height) for x, y in points
    ]
    return "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in scaled)
