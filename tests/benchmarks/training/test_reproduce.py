"""`dgmbench reproduce`: a run done again, and nothing that its record should not ask for."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.config.compose import compose
from benchmarks.config.identity import run_id
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Evaluation, Record
from benchmarks.training import reproduce as module
from benchmarks.training.train import train


def test_reproduce(outputs, capsys, monkeypatch):
    overrides = ["images_seen=128", "protocols=[bits_per_dim_test]"]
    composed = compose(["experiment=oord2016/pixelcnn_quick", *overrides])
    train(composed, bar=False)
    path = Run.of(composed).record_path
    assert main(["reproduce", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "(the same, 1 pair(s)" in shown
    assert shown.strip().endswith("reproduced: same bits")

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


OPENS_A_PICKLE = [
    "model.loss._target_=numpy.load",
    "+model.loss.file={pickle}",
    "+model.loss.allow_pickle=true",
]


@pytest.mark.parametrize(
    "overrides",
    [
        OPENS_A_PICKLE,
        ["model.loss._target_=pathlib.Path.unlink", "+model.loss.self={victim}"],
        ["model.loss={{_target_:urllib.request.urlopen,url:'http://127.0.0.1:1'}}"],
        ["datamodule={{_target_:os.system,command:'touch {pickle}.ran'}}"],
        ["model.generator.optimizer._target_=hydra.utils.call"],
        ["+track.evil={{_target_:os.remove,path:{victim}}}"],
        ["hydra.searchpath=[file://{folder}]"],
        ["+hydra.run.dir={folder}"],
        ["model.batch_size=${{oc.env:SOME_SECRET}}"],
        ["images_seen=${{oc.decode:7}}"],
        ["+loss@evil.loss=hinge"],
        ["model.batch_size=${{oc.${{method}}:SOME_SECRET}}"],
        ["model.batch_size=${{oc.env:SOME_SECRET,${{oc.env:HOME}}}}"],
    ],
    ids=lambda overrides: overrides[0].split("=")[0],
)
@pytest.mark.parametrize("digest", ["right", "none"])
def test_reproduce_runs_nothing_that_a_record_names(
    outputs, tmp_path, capsys, monkeypatch, overrides, digest
):
    """A digest that fits says nothing: anyone can compute it."""
    monkeypatch.setenv("SOME_SECRET", "7")
    victim, loaded = tmp_path / "victim", tmp_path / "loaded.npy"
    victim.write_text("x")
    np.save(loaded, np.array([Burglar(tmp_path)], dtype=object), allow_pickle=True)
    places = {"pickle": loaded, "victim": victim, "folder": tmp_path}
    found = Record("toy/ns_gan", "gaussian_ring", "0123456789-r1-s0", 0, "finished")
    found.overrides = [o.format(**places) for o in overrides]
    text = json.loads(found.to_json())
    if digest == "none":
        del text["digest"]
    (tmp_path / "record.json").write_text(json.dumps(text))
    assert main(["reproduce", str(tmp_path / "record.json")]) == 2
    shown = capsys.readouterr()
    assert ("has no digest" in shown.out) == (digest == "none")
    assert len(shown.err.strip().splitlines()) == 1
    assert victim.exists()
    assert not (tmp_path / "burgled").exists()
    assert not list(tmp_path.glob("*.ran"))


def test_what_one_place_allows_is_not_taken_to_another(outputs, tmp_path, capsys):
    """A target that is a class of ours under one key, and a function under the trainer's."""
    found = Record("toy/ns_gan", "gaussian_ring", "0123456789-r1-s0", 0, "finished")
    node = "{_target_:'${...method}',src:/etc/hostname,dst:%s}" % (tmp_path / "copied")
    found.overrides = [
        "method=shutil.copyfile",
        "+per_dataset.gaussian_ring.method=torch.nn.Linear",
        f"+per_dataset.gaussian_ring.trainer={{strategy:{node}}}",
    ]
    found.write(tmp_path / "record.json")
    assert main(["reproduce", str(tmp_path / "record.json")]) == 2
    assert "must override settings that determine a run only" in capsys.readouterr().err
    assert not (tmp_path / "copied").exists()


class Burglar:
    """What a pickle does when it is opened."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (os.path.join(self.folder, "burgled"),)  # noqa: PTH118


def test_the_pickle_of_the_test_above_would_act(tmp_path):
    np.save(tmp_path / "x.npy", np.array([Burglar(tmp_path)], dtype=object), allow_pickle=True)
    np.load(tmp_path / "x.npy", allow_pickle=True)
    assert (tmp_path / "burgled").exists()


# -- without training ----------------------------------------------------------------------------


def record_of(*overrides, scores=(("modes_2500", 1.0),), checkpoint="last", **settings):
    """Return the record of a run of today's config, scored under protocols."""
    cfg = compose(["experiment=toy/ns_gan", "datamodule=gaussian_ring", "seed=3", *overrides]).cfg
    found = Record("toy/ns_gan", "gaussian_ring", run_id(cfg), 3, "finished", **settings)
    found.overrides = list(overrides)
    found.evaluations = [
        Evaluation(protocol, "f" * 64, checkpoint, "raw", 64, {"modes": value, "none": None})
        for protocol, value in scores
    ]
    return found


@pytest.fixture
def again(outputs, tmp_path, monkeypatch):
    """Return a function that does a record's run again, where what comes of it is given."""
    path = tmp_path / "old" / "record.json"

    def make(old, new):
        def train(composed):
            run = Run.of(composed)
            make.cfg, make.run = composed.cfg, run
            make.began_anew = not run.folder.exists()
            new.write(run.record_path)
            return new

        old.write(path)
        monkeypatch.setattr(module, "train", train)
        return main(["reproduce", str(path.parent)])

    return make


def test_a_run_is_done_again_as_it_was_and_in_a_folder_of_its_own(again, outputs):
    """What determines a result is repeated; where and how it is watched is not."""
    scores = [("modes_2500", 1.0), ("nll_test", 2.0), ("modes_2500", 1.0)]
    old = record_of("model.n_critic=2", "threads=2", scores=scores)
    old.overrides += ["trainer.devices=8", "logger=wandb", "protocols=[]", "seed=9", "+seed=9"]
    assert again(old, old) == 0
    assert (again.cfg.seed, again.cfg.model.n_critic, again.cfg.threads) == (3, 2, 2)
    assert list(again.cfg.protocols) == ["modes_2500", "nll_test"]
    clean = compose(["experiment=toy/ns_gan"]).cfg
    assert (again.cfg.trainer, again.cfg.logger) == (clean.trainer, clean.logger)
    assert again.run.folder == outputs / "reproduced/toy_ns_gan/gaussian_ring" / old.run_id
    assert os.environ["DGMBENCH_OUTPUTS"] == str(outputs)


@pytest.mark.parametrize("status", ["finished", "failed", "interrupted"])
def test_what_an_earlier_call_left_is_done_anew_unless_it_goes_on(again, status):
    old = record_of()
    again(old, old)
    assert again.began_anew
    earlier = record_of()
    earlier.status = status
    earlier.write(again.run.record_path)
    again(old, old)
    assert again.began_anew == (status != "interrupted")


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ({}, {}, 0),
        ({"scores": [("modes_2500", 1.0)]}, {"scores": [("modes_2500", 1.0 + 9e-6)]}, 0),
        ({"scores": [("modes_2500", 1.0)]}, {"scores": [("modes_2500", 1.0 + 2e-5)]}, 1),
        ({"scores": [("modes_2500", 1.0)]}, {"scores": [("modes_2500", None)]}, 1),
        ({"scores": [("modes_2500", None)]}, {"scores": [("modes_2500", None)]}, 1),  # nothing
        ({"scores": []}, {"scores": []}, 1),  # nor here
        ({"checkpoint": "64"}, {"checkpoint": "64"}, 0),
        ({"scores": [("modes_2500", 1.0), ("nll_test", 1.0)]}, {}, 1),
        ({}, {"scores": [("modes_2500", 1.0), ("nll_test", 1.0)]}, 1),
    ],
    ids=str,
)
def test_scores_must_agree_but_for_rounding(again, capsys, old, new, code):
    assert again(record_of(**old), record_of(**new)) == code
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.split(":")[0] == ("not reproduced" if code else "reproduced")


@pytest.mark.parametrize(
    ("before", "now", "code"),
    [("diverged", "diverged", 0), ("diverged", "finished", 1), ("finished", "diverged", 1)],
)
def test_a_run_that_diverged_must_do_so_again(again, capsys, before, now, code):
    old, new = record_of(scores=[]), record_of(scores=[])
    old.status, new.status = before, now
    assert again(old, new) == code
    assert f"{now} now, {before} before: " in capsys.readouterr().out


def test_what_was_measured_on_one_side_only_is_named(again, capsys):
    old = record_of(scores=[("modes_2500", 1.0), ("nll_test", 2.0)])
    again(old, record_of())
    said = capsys.readouterr().out
    assert "nll_test (ffffffffffff) [raw] modes: on one side only\n" in said
    assert said.count("on one side only") == 1


def test_a_snapshot_that_was_scored_by_hand_need_not_be_again(again):
    old = record_of()
    old.evaluations += record_of(scores=[("nll_test", 2.0)], checkpoint="64").evaluations
    assert again(old, record_of()) == 0


def test_other_conditions_are_named_and_are_no_difference(again, capsys):
    old = record_of(cost={"device": "A", "threads": 1}, versions={"torch": "1", "numpy": "2"})
    new = record_of(cost={"device": "B", "threads": 1}, versions={"torch": "1", "wandb": "3"})
    assert again(old, new) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-4:] == [
        "device: A before, B now",
        "numpy: 2 before, None now",
        "wandb: None before, 3 now",
        "reproduced: same bits",
    ]


def test_what_is_no_record_of_one_training_run_is_refused(outputs, tmp_path, capsys):
    path = tmp_path / "records"
    Record("images", "digits", "0123456789", 0, "finished").write(path / "a.json")
    assert main(["reproduce", str(path / "a.json")]) == 2
    assert "must be the record of a training run, got one of images" in capsys.readouterr().err
    record_of().write(path / "b.json")
    assert main(["reproduce", str(path)]) == 2
    assert f"{path} must be one record, got 2" in capsys.readouterr().err
    assert main(["reproduce", str(tmp_path / "nothing")]) == 2
    assert "must hold at least one record, got none" in capsys.readouterr().err
