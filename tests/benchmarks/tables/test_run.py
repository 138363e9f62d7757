"""`dgmbench table`: what it does, leaves out, does again and refuses."""

import re

import pytest

from benchmarks.__main__ import main
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.spec import load_spec
from tests.benchmarks.tables.helpers import MINI, put


def test_runs_whose_data_or_weights_are_absent_are_left_out(
    outputs, monkeypatch, capsys, tmp_path
):
    monkeypatch.setenv("DGMBENCH_DATA", str(tmp_path / "data"))
    assert main(["table", "lucic2018_table2", "--seeds", "1"]) == 0
    shown = capsys.readouterr().out
    for name in ("mnist", "fashion_mnist", "cifar10"):
        assert f"left out: data set {name} is missing: dgmbench prefetch {name}" in shown
    assert "| MM GAN |" not in shown
    assert re.search(r"MM GAN +– +9.8 ± 0.9 +– +29.6 ± 1.6 +– +72.7 ± 3.6", shown)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mnist.npz").touch()
    run = make_plan(load_spec("lucic2018_table2"), 1).runs[0]
    assert run.lacks().startswith(
        "weights inception-2015-12-05.pth are missing: dgmbench prefetch inception_2015"
    )


def test_a_dry_run_prints_runs_and_cost(mini, capsys):
    put(mini.runs[0])
    assert main(["table", "mini", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "A digits s1: oord2016_pixelcnn_quick/digits/" in shown
    assert "A digits s0" not in shown
    assert "B digits s0: untrained_pixelcnn_quick" in shown
    # 3 seconds for 640 images, so 469 for 100,000
    assert "3 runs, 0.13 device-hours of training\n" in shown
    assert "disk: " in shown
    assert not mini.runs[1].run.folder.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINI.replace("dataset: digits", "dataset: digit"), "datamodule 'digit' does not exist"),
        (MINI.replace("bits_per_dim_test", "bits_test"), "protocol 'bits_test' does not exist"),
        (MINI.replace("metric: bits_per_dim", "metric: bits_per_dimm"), "did you mean bits_per"),
        (MINI.replace("bits_per_dim_test", "nll_test"), "no row is scored under nll_test on"),
        (MINI.replace("untrained/pixelcnn", "oord2016/pixelcnn"), "must differ in their experim"),
        (MINI.replace("note: A note.", ""), "note must be given"),
        (MINI + "  - foo\n", "rows[3] must map keys to values, got 'foo'"),
    ],
)
def test_a_dry_run_refuses_what_a_run_refuses(mini, tmp_path, text, message, capsys):
    (tmp_path / "own.yaml").write_text(text)
    assert main(["table", str(tmp_path / "own.yaml"), "--dry-run"]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


def test_failed_runs_are_done_again_only_when_asked(mini, capsys):
    for run in mini.runs:
        put(run, status="failed" if run.row.label == "B" else "finished")
    assert main(["table", "mini"]) == 1
    assert "2 run(s) failed before (B digits s0" in capsys.readouterr().err
    assert main(["table", "mini", "--retry", "failed", "--jobs", "2"]) == 0
    assert "4.1" in capsys.readouterr().out


def test_a_diverged_run_is_done_again_when_asked(mini, capsys):
    for run in mini.runs:
        put(run, status="diverged" if run.key == mini.runs[2].key else "finished")
    assert main(["table", "mini"]) == 0
    capsys.readouterr()
    assert main(["table", "mini", "--retry", "diverged", "--jobs", "1"]) == 0
    assert mini.runs[2].run.record().status == "finished"
    assert (mini.runs[2].run.folder / "record.diverged.json").exists()
