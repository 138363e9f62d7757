"""Speed of tables: planning and rendering, status, the page, and runs side by side."""

import contextlib
import io
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.core.paths import results_dir, working_in
from benchmarks.runs.record import Record, read_record

__all__ = ["tables"]

SEEDS = 312  # of eight rows on four data sets, and the floors: 9,988 runs
PAGE_SEEDS = 42  # of the quick table's twelve rows: 505 runs
RATIO_RUNS = 4
RENDER = """
import sys, time
began = time.perf_counter()
from benchmarks.tables.analysis.cells import join
from benchmarks.tables.rendering.formats import to_markdown
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.rendering.render import rendered
from benchmarks.tables.spec import load_spec
plan = make_plan(load_spec("lucic2018_table2"), int(sys.argv[1]))
records = plan.records(published=False)
text = to_markdown(rendered(join(plan, records)))
status = open("/proc/self/status").read()  # getrusage would count the parent's memory
peak = int(status.split("VmHWM:")[1].split()[0]) / 1e3
print(len(records), time.perf_counter() - began, peak)
"""


def tables() -> Iterator[str]:
    """Yield one line per measurement."""
    with tempfile.TemporaryDirectory() as folder, working_in(Path(folder)):
        yield from _many_records()
    with tempfile.TemporaryDirectory() as folder, working_in(Path(folder)):
        yield _page()
    yield _side_by_side()


def _many_records() -> Iterator[str]:
    from benchmarks.tables.plan.plan import make_plan
    from benchmarks.tables.spec import load_spec

    _write(make_plan(load_spec("lucic2018_table2"), SEEDS).runs, {"fid": 30.0})
    done = _python("-c", RENDER, str(SEEDS))
    count, seconds, peak = done.stdout.split()
    yield (
        f"table of {count} records, planned and rendered: {float(seconds):.2f} s, "
        f"{float(peak):.0f} MB (goals < 5 s, < 500 MB)"
    )
    began = time.perf_counter()
    _python("-m", "benchmarks", "status", "lucic2018_table2", "--seeds", str(SEEDS))
    yield f"status of {count} records: {time.perf_counter() - began:.2f} s (goal < 2 s)"


def _page() -> str:
    from benchmarks.tables.analysis.cells import join
    from benchmarks.tables.plan.plan import make_plan
    from benchmarks.tables.rendering.page import page_of
    from benchmarks.tables.spec import load_spec

    plan = make_plan(load_spec("quick"), PAGE_SEEDS)
    _write(plan.runs, {"fd_lenet": 30.0, "lenet_score": 5.0, "bits_per_dim": 2.0})
    grids = sorted((results_dir() / "quick" / "grids").glob("*.png"))
    for i, run in enumerate(plan.runs):
        run.run.samples.mkdir()
        shutil.copyfile(grids[i % len(grids)], run.run.samples / "64.png")
    began = time.perf_counter()
    page = page_of([join(plan, plan.records(published=False))])
    seconds = time.perf_counter() - began
    return (
        f"page of {len(plan.runs)} runs: {len(page.encode()) / 1e6:.1f} MB in {seconds:.1f} s "
        "(goals < 25 MB, < 20 s)"
    )


def _side_by_side() -> str:
    """Train four VAEs one after the other, then two at a time."""
    from benchmarks.execution.local import run_all
    from benchmarks.tables.plan.plan import make_plan
    from benchmarks.tables.spec import load_spec

    seconds = []
    for jobs in (1, 2):
        with tempfile.TemporaryDirectory() as folder, working_in(Path(folder)):
            plan = make_plan(load_spec("quick"), RATIO_RUNS)
            runs = [r for r in plan.runs if r.experiment == "lucic2018/vae_quick"]
            began = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):
                failed = run_all(runs, [], jobs)
            seconds.append(time.perf_counter() - began)
            assert not failed, failed
    return (
        f"{RATIO_RUNS} runs, 2 side by side against 1: {seconds[0]:.0f} s and {seconds[1]:.0f} s, "
        f"ratio {seconds[0] / seconds[1]:.2f} (goal 1.8)"
    )


def _write(runs: Sequence, metrics: dict[str, float]) -> None:  # type: ignore[type-arg]
    """Write a record for each planned run, after a published one."""
    paths = sorted((results_dir() / "quick" / "records").glob("lucic2018_ns_gan*.json"))
    pattern = read_record(paths[0])
    assert isinstance(pattern, Record)
    for run in runs:
        checkpoint = "images" if run.row.images else "last"
        evaluations = [
            replace(
                pattern.evaluations[0],
                protocol=name,
                fingerprint=mark,
                checkpoint=checkpoint,
                metrics={k: v + 0.01 * run.seed for k, v in metrics.items()},
            )
            for name, mark in zip(run.protocols, run.fingerprints, strict=True)
        ]
        record = replace(
            pattern,
            experiment=run.experiment,
            dataset=run.dataset,
            run_id=run.run_id,
            seed=run.seed,
            evaluations=evaluations,
        )
        run.run.folder.mkdir(parents=True)
        run.run.record_path.write_text(record.to_json())  # no fsync: there are many


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True)
