"""Sweeps: the table that they make, what they refuse, and one that is run."""

import pytest
import yaml

from benchmarks.__main__ import main
from benchmarks.core.errors import UserError
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.spec import load_spec
from benchmarks.tables.sweep import sweep_of

TOY = "experiment=toy/ns_gan"


def rows_of(*given):
    return {row.label: row for row in sweep_of(given, None).spec.rows}


def test_rows_are_the_product_labelled_by_what_differs(outputs):
    rows = rows_of(TOY, "model.n_critic=1,2", "loss@model.loss=hinge,minimax", "images_seen=2560")
    assert list(rows) == [
        "model.n_critic=1, loss@model.loss=hinge",
        "model.n_critic=1, loss@model.loss=minimax",
        "model.n_critic=2, loss@model.loss=hinge",
        "model.n_critic=2, loss@model.loss=minimax",
    ]
    last = rows["model.n_critic=2, loss@model.loss=minimax"]
    assert last.overrides == {
        "model.n_critic": 2,
        "loss@model.loss": "minimax",
        "images_seen": 2560,
    }


def test_values_in_brackets_and_quotes_are_one_value(outputs):
    key = "model.generator.optimizer.betas"
    rows = rows_of(TOY, f"{key}=[0.5,0.999],[0.9,0.999]")
    assert [r.overrides[key] for r in rows.values()] == [[0.5, 0.999], [0.9, 0.999]]
    rows = rows_of(TOY, "precision='a,b',\"c,d\"")
    assert [r.overrides["precision"] for r in rows.values()] == ["a,b", "c,d"]
    assert list(rows_of(TOY, "model.n_critic=range(1,4)")) == [
        f"model.n_critic={n}" for n in (1, 2, 3)
    ]


def test_seeds_and_columns_are_those_of_the_experiment(outputs):
    spec = sweep_of(["experiment=untrained/gan_quick", "seed=3,4"], None).spec
    assert (spec.seeds, spec.rows[0].first_seed, spec.rows[0].label) == (
        2,
        3,
        "untrained/gan_quick",
    )
    (column,) = spec.columns
    assert (column.label, column.better) == ("fd_lenet", "lower")
    assert [run.seed for run in make_plan(spec).runs] == [3, 4]
    both = sweep_of([TOY, "datamodule=gaussian_ring,gaussian_grid"], None).spec
    assert [(c.label, c.better) for c in both.columns] == [
        ("modes (modes_2500 on gaussian_ring)", "higher"),
        ("modes (modes_2500 on gaussian_grid)", "higher"),
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "experiment must be given, one"),
        (["experiment=toy/ns_gan,toy/wgan"], "experiment must be given, one"),
        (["experiment=toy/nsgan"], "experiment 'toy/nsgan' does not exist; did you mean toy/ns_g"),
        ([TOY, "seed=0,2"], "seed must be integers >= 0 that follow each other, got 0,2"),
        ([TOY, "seed=a"], "seed must be integers >= 0 that follow each other, got a"),
        ([TOY, "datamodule=mnist"], "datamodule must be one that toy/ns_gan is for (gaussian_rin"),
        ([TOY, "+model.x=1,2"], "a sweep sets keys that there are (key=value), got +model.x"),
        ([TOY, "~model.loss"], "a sweep sets keys that there are (key=value), got ~model.loss"),
        ([TOY, "model.n_critic=1", "model.n_critic=2"], "model.n_critic must be given once"),
        ([TOY, "model.n_critic=interval(1,2)"], "values with commas between, or a range, got"),
        ([TOY, "model.n_critic=1,1"], "row 'model.n_critic=1' stands twice"),
        ([TOY, "weights=raw,ema"], "must be of what a run is made of (datamodule, model, images"),
        ([TOY, "model.generator.optimizer.lr=1,nan"], "lr must be finite, got nan"),
        (
            [TOY, "model.n_critik=1,2"],
            "row 'model.n_critik=1' on gaussian_ring: model.n_critik is",
        ),
        ([TOY, "loss@model.loss=hinge,hing"], "loss 'hing' does not exist; did you mean hinge"),
        ([TOY, "model.n_critic=1,2", "threads=1,2"], "threads must have one value, got threads=1"),
        ([TOY, "images_seen=range(1001)"], "a sweep must have at most 1000 rows, got 1001"),
        ([TOY, "images_seen=-1,5"], "images_seen must be an integer >= 0, got -1"),
        (["experiment=untrained/vae_quick", "protocols=[]"], "must be of what a run is made of"),
        ([TOY, "--name", "../x"], "the name of a table must be 1 to 100 letters"),
        ([TOY, "--name", "notes.yaml"], "--name must be of a new file, or of one that a sweep wr"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_what_a_sweep_refuses_is_one_line_and_writes_nothing(given, message, outputs, capsys):
    (outputs.parent / "notes.yaml").write_text("mine\n")
    assert main(["sweep", *given]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
    assert not (outputs / "sweeps").exists()
    assert (outputs.parent / "notes.yaml").read_text() == "mine\n"


def test_train_names_sweep(outputs, capsys):
    assert main(["train", TOY, "seed=0,1"]) == 2
    shown = capsys.readouterr().err
    assert "seed must have one value, got seed=0,1 (dgmbench sweep compares several)" in shown


def test_a_sweep_runs_shows_its_table_and_continues(outputs, monkeypatch, capsys):
    """Its runs are those that it planned; called again it has nothing to do."""
    done = []

    def here(planned, overrides, jobs, rates):
        for run in planned:
            done.append(run.label)
            assert main(run.command(overrides)) == 0
            assert run.is_done(run.run.record())
        return []

    monkeypatch.setattr("benchmarks.execution.local.run_all", here)
    lr = "model.generator.optimizer.lr"
    sweep = ["sweep", TOY, f"{lr}=1e-3,1e-4", "images_seen=512", "threads=1", "--name", "mine"]
    assert main([*sweep, "--dry-run"]) == 0
    assert f"would be {outputs / 'sweeps' / 'mine.yaml'}" in capsys.readouterr().out
    assert not outputs.exists()
    assert main(sweep) == 0
    assert done == [f"{lr}={v} gaussian_ring s0" for v in (0.001, 0.0001)]
    shown = capsys.readouterr().out
    assert "method" in shown
    assert f"{lr}=0.001 deviates from the paper: overridden: {lr}=0.001; " in shown
    path = outputs / "sweeps" / "mine.yaml"
    assert str(path) in shown
    assert path.read_text().startswith("# Written by: dgmbench sweep experiment=toy/ns_gan model.")
    assert yaml.safe_load(path.read_text())["rows"][0]["overrides"] == {
        lr: 0.001,
        "images_seen": 512,
    }
    spec = load_spec(str(path))
    assert spec == sweep_of([TOY, f"{lr}=1e-3,1e-4", "images_seen=512"], "mine").spec
    assert main(sweep) == 0
    assert len(done) == 2
    assert main(["status", str(path)]) == 0
    assert "1/1" in capsys.readouterr().out


def test_more_seeds_are_the_same_table(outputs):
    names = {
        sweep_of([TOY, "model.n_critic=1,2", f"seed={seeds}"], None).path for seeds in ("0", "0,1")
    }
    assert len(names) == 1
    assert sweep_of([TOY, "model.n_critic=1,3"], None).path not in names


def test_an_experiment_that_nothing_is_told_of(outputs, own_configs):
    (own_configs / "experiment").mkdir()
    text = "# @package _global_\ndefaults: [/experiment/toy/ns_gan, _self_]\nprotocols: []\n"
    (own_configs / "experiment" / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match="experiment mine must name a protocol whose first value"):
        sweep_of(["experiment=mine", "model.n_critic=1,2"], None)
