"""Records beside each other, runs done again, and what is exported."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file

from benchmarks.__main__ import main
from benchmarks.config.compose import compose
from benchmarks.config.instantiate import instantiate
from benchmarks.runs.changes import changes
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Evaluation, Record
from benchmarks.tables.compare import config_changes
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.plan.planned_run import fingerprint_of, published_record_path
from benchmarks.tables.spec import load_spec
from benchmarks.training import reproduce as module
from benchmarks.training.train import train
from tests.benchmarks.tables.helpers import MINI
from tests.helpers import tiny_run


def record(value, seed=0, experiment="e", **settings):
    evaluation = Evaluation("p", "f" * 64, "last", "raw", 1, {"m": value, "none": None})
    return Record(
        experiment, "d", "id-r1-s0", seed, "finished", evaluations=[evaluation], **settings
    )


def test_pairs_by_seed_with_an_interval():
    a = [record(float(s), s) for s in range(4)]
    b = [record(float(s) + 1 + 0.1 * s, s) for s in range(1, 5)]
    (found,) = changes(a, b)
    assert (found.pairs, found.metric) == (3, "p (ffffffffffff) [last, raw] m")
    assert found.difference == pytest.approx(1.2)
    low, high = found.interval
    assert low < 1.2 < high


def test_two_records_of_different_experiments_share_their_data():
    (found,) = changes([record(1.0)], [record(3.0, 5, "other")])
    assert (found.difference, found.interval) == (2.0, None)
    assert list(changes([record(1.0), record(2.0, 1)], [record(3.0, 0, "other")])) == []


def test_configs_are_compared_by_key():
    lines = list(config_changes({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}, "d": None}))
    assert lines == ["config a.b: 1 -> 3", "config d: absent -> None"]


def test_compare_takes_files_folders_and_tables(tmp_path, outputs, capsys):
    one, other = tmp_path / "a.json", tmp_path / "b" / "record.json"
    record(1.0, config={"x": 1}).write(one)
    record(1.5, config={"x": 2}).write(other)
    assert main(["compare", str(one), str(other.parent)]) == 0
    shown = capsys.readouterr().out
    assert "1 -> 1.5 (+0.5, 1 pair(s) of seeds)" in shown
    assert "config x: 1 -> 2" in shown
    assert main(["compare", str(one), str(one)]) == 0
    assert "(the same, 1 pair(s)" in capsys.readouterr().out
    assert main(["compare", str(one), "nothing"]) == 2
    assert "must be a record, a run's folder, a folder" in capsys.readouterr().err
    assert main(["compare", str(one), "iwae_table1"]) == 2
    assert "must hold at least one record, got none" in capsys.readouterr().err


@pytest.fixture
def small(own_configs, outputs):
    """A table of one PixelCNN that trains for a few steps, published with three seeds."""
    rows = (
        MINI[: MINI.index("  - {label: A")]
        + "  - {label: B, experiment: untrained/pixelcnn_quick}\n"
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


def test_configurations_at_one_seed_stay_apart():
    def at(value, stem, seed=0):
        found = record(value, seed)
        found.run_id = f"{stem}-r1-s{seed}"
        return found

    a = [at(1.0, "x"), at(99.0, "y"), at(2.0, "x", 1)]
    found = {c.label: c for c in changes(a, [at(1.0, "x"), at(2.5, "x", 1)])}
    assert list(found) == ["e on d (x-r1)"]
    assert found["e on d (x-r1)"].difference == pytest.approx(0.25)


def test_reproduce(outputs, capsys, monkeypatch):
    overrides = ["images_seen=128", "protocols=[bits_per_dim_test]"]
    composed = compose(["experiment=oord2016/pixelcnn_quick", *overrides])
    train(composed, bar=False)
    path = Run.of(composed).record_path
    assert main(["reproduce", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "(the same, 1 pair(s)" in shown
    assert shown.strip().endswith("reproduced")

    changed = Record.from_json(path.read_text())
    changed.evaluations[0].metrics["bits_per_dim"] += 0.01
    changed.write(outputs / "changed.json")
    assert main(["reproduce", str(outputs / "changed.json")]) == 1
    assert "not reproduced" in capsys.readouterr().out

    other = Record.from_json(path.read_text())
    other.evaluations = [replace(other.evaluations[0], fingerprint="f" * 64)]
    other.write(outputs / "other.json")  # nothing in common is not the same
    assert main(["reproduce", str(outputs / "other.json")]) == 1
    assert "on one side only" in capsys.readouterr().out

    monkeypatch.setattr(module, "NOT_REPEATED", (*module.NOT_REPEATED, "images_seen"))
    assert main(["reproduce", str(path)]) == 2
    assert "must be of today's config" in capsys.readouterr().err


def test_an_export_samples_as_the_run_does(outputs, capsys):
    composed = tiny_run("lucic2018/vae_quick", steps=2)
    train(composed, bar=False)
    run = Run.of(composed)
    assert main(["export", str(run.folder), "--samples", "7"]) == 0
    folder = run.folder / "export"
    assert capsys.readouterr().out.strip() == str(folder)
    images = np.load(folder / "samples.npz")["images"]
    assert (images.shape, images.dtype) == ((7, 28, 28, 1), np.uint8)
    config = json.loads((folder / "config.json").read_text())
    model = instantiate(OmegaConf.create(config["model"]), "model")
    model.load_state_dict(load_file(folder / "model.safetensors"))
    model.eval()
    with torch.no_grad():
        assert model.sample(3, torch.Generator().manual_seed(0)).shape == (3, 1, 28, 28)
    text = (folder / "CITATION.cff").read_text()
    assert "seed 0; dgmbench 0.1.0, commit" in text
    assert main(["export", str(run.folder), "--samples", "-1"]) == 2
    assert "samples must be >= 0, got -1" in capsys.readouterr().err


def test_an_autoencoder_exports_its_weights_only(outputs, capsys):
    composed = tiny_run("vincent2010/autoencoder_quick", steps=2)
    train(composed, bar=False)
    run = Run.of(composed)
    assert main(["export", str(run.folder)]) == 2
    assert "samples must be 0 for Autoencoder" in capsys.readouterr().err
    assert main(["export", str(run.folder), "--samples", "0"]) == 0
    assert not (run.folder / "export" / "samples.npz").exists()
