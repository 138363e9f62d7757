"""`dgmbench gate`: a published table run again."""

import pytest

from benchmarks.__main__ import main
from benchmarks.runs.record import Evaluation, Record
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.plan.planned_run import fingerprint_of, published_record_path
from benchmarks.tables.spec import load_spec
from tests.benchmarks.tables.helpers import MINI


@pytest.fixture
def small(own_configs, outputs):
    """A table of one PixelCNN that trains for a few steps, published with three seeds."""
    rows = (
        MINI[: MINI.index("  - {label: A")]
        + "  - {label: B, experiment: untrained_pixelcnn_quick}\n"
    )
    (own_configs / "table" / "mini.yaml").write_text(rows.replace("seeds: 2", "seeds: 3"))
    return make_plan(load_spec("mini"))


def publish(plan, values):
    for run, value in zip(plan.runs, values, strict=True):
        protocol = run.protocols[0]
        evaluation = Evaluation(
            protocol, fingerprint_of(protocol), "last", "raw", 0, {"bits_per_dim": value}
        )
        found = Record(run.experiment, run.dataset, run.run_id, run.seed, "finished")
        found.evaluations = [evaluation]
        found.write(published_record_path("mini", run))


@pytest.mark.parametrize(
    ("values", "code", "word"),
    [
        ((4.0, 4.1, 4.2), 0, "1 scores, 0 regressed or not compared"),
        ((1.0, 1.001, 1.002), 1, "REGRESSED"),
        ((4.1, None, None), 1, "whose noise is not known"),
    ],
)
def test_the_gate(small, capfd, values, code, word):
    """An untrained PixelCNN scores 4.11 within .07."""
    publish(small, values)
    assert main(["gate", "mini", "--jobs", "1"]) == code
    assert word in capfd.readouterr().out


def test_a_gate_needs_published_records(small, capsys):
    assert main(["gate", "mini"]) == 2
    assert "table mini must have published records in" in capsys.readouterr().err


def test_a_search_is_no_gate(capsys):
    assert main(["gate", "quick_search"]) == 2
    assert "must have no search to be a gate" in capsys.readouterr().err
