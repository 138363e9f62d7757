"""A table from made-up records, compared with its whole text."""

from pathlib import Path

import pytest

from benchmarks.runs.record import Evaluation, Record
from benchmarks.tables.analysis.cells import join
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.plan.planned_run import fingerprint_of
from benchmarks.tables.rendering.formats import to_csv, to_latex, to_markdown, to_terminal
from benchmarks.tables.rendering.render import rendered
from benchmarks.tables.spec import load_spec

HERE = Path(__file__).parent / "rendered"
SPEC = """
title: Fixture
note: A note.
seeds: 3
columns:
  - label: bits
    dataset: digits
    protocol: bits_per_dim_test
    metric: bits_per_dim
    better: lower
    digits: 3
    published: {source_id: paper, column: digits}
rows:
  - {label: PixelCNN, experiment: oord2016/pixelcnn_quick, published: pixelcnn}
  - {label: VAE, experiment: kingma2014/vae_logistic_quick, published: vae}
  - {label: "Fails", experiment: untrained/pixelcnn_quick, note: it always does}
  - {label: Elsewhere, published: elsewhere}
"""
PUBLISHED = """
paper:
  citation: A paper
  metric: bits per dimension
  spread: standard deviation over 5 seeds
  spread_kind: seeds
  spread_n: 5
  note: made up
  rows:
    pixelcnn: {digits: {value: 1.5, spread: 0.02, mark: S}}
    vae: {digits: {value: 1.9, sign: "≤", mark: M}}
    elsewhere: {digits: {value: 1.2, mark: S}}
"""
SCORES = {
    "PixelCNN": (1.5, 1.52, 1.51),
    "VAE": (1.91, 1.9, None),
    "Fails": (None, None, None),
}


@pytest.fixture
def table(own_configs, outputs):
    (own_configs / "table" / "fixture.yaml").write_text(SPEC)
    (own_configs / "published.yaml").write_text(PUBLISHED)
    plan = make_plan(load_spec("fixture"))
    for run in plan.runs:
        value = SCORES[run.row.label][run.seed]
        kind = "elbo" if run.row.label == "VAE" else "exact"
        evaluation = Evaluation(
            "bits_per_dim_test",
            fingerprint_of("bits_per_dim_test"),
            "last",
            "raw",
            640,
            {"bits_per_dim": value},
            {"likelihood": kind},
        )
        Record(
            run.experiment,
            run.dataset,
            run.run_id,
            run.seed,
            "finished" if value else "diverged",
            reason=None if value else "loss is nan",
            deviations=["half the width"] if run.row.label == "VAE" else [],
            counters={"images_seen": 640},
            evaluations=[evaluation] if value else [],
            cost={
                "seconds": 36.0,
                "images_per_second": 100.0,
                "peak_memory_bytes": 10**9,
                "device": "CPU",
                "processes": 1,
                "threads": 1,
            },
        ).write(run.run.record_path)
    return join(plan, plan.records(published=False))


@pytest.mark.parametrize("kind", ["md", "csv", "tex", "txt"])
def test_the_whole_text(table, kind):
    layouts = {"md": to_markdown, "csv": to_csv, "tex": to_latex, "txt": to_terminal}
    assert layouts[kind](rendered(table)) == (HERE / f"fixture.{kind}").read_text()
