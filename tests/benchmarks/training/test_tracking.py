"""Scores in training: the curve, the best snapshot, and training left as it is."""

from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from benchmarks.__main__ import main
from benchmarks.core.errors import UserError
from benchmarks.evaluation.evaluate import evaluate_run
from benchmarks.evaluation.scoring import Scoring
from benchmarks.runs.folder import Run
from benchmarks.training.tracking import Tracker
from benchmarks.training.train import train
from lit_models.adversarial.engine import AdversarialModel
from lit_models.callbacks import progress
from tests.benchmarks.training.test_resume import Killed, kill_after, last_checkpoint, rows
from tests.helpers import assert_same_state, tiny_run

EVERY = 16


def tracked(*overrides, experiment="lin2018/ns_gan_quick"):  # with BatchNorm
    composed = tiny_run(experiment, ["logger=csv", *overrides], steps=6)
    composed.cfg.checkpoint_every_images = 8
    return composed


def with_track(best="reverse_kl"):
    return tracked(
        "track.protocol=modes_2500",
        f"track.every_images={EVERY}",
        f"track.keep_best_by={best}",
        "track.better=lower",
    )


def test_the_curve_the_best_snapshot_and_training_untouched(outputs):
    plain = tracked()
    train(plain, bar=False)
    run = Run.of(plain)
    expected = last_checkpoint(run)
    run.folder.rename(outputs / "plain")

    composed = with_track()
    assert Run.of(composed).id == run.id  # no part of the run's identity
    composed.cfg.protocols = ["modes_2500"]
    record = train(composed, bar=False)
    assert_same_state(last_checkpoint(run)["state_dict"], expected["state_dict"])
    by_checkpoint = {e.checkpoint: e for e in record.evaluations}
    marks = [str(at) for at in range(EVERY, composed.cfg.images_seen + 1, EVERY)]
    assert list(by_checkpoint) == [*marks, "last", "best"]
    curve = [by_checkpoint[at].metrics["reverse_kl"] for at in marks]
    assert by_checkpoint["best"].metrics["reverse_kl"] == min(curve)
    assert by_checkpoint["best"].images_seen == int(marks[curve.index(min(curve))])
    assert len(set(curve)) > 1
    logged = [r for r in rows(run) if r["name"] == "track/modes_2500/reverse_kl"]
    assert [(r["images_seen"], float(r["value"])) for r in logged] == list(
        zip(marks, curve, strict=True)
    )
    again = evaluate_run(run.folder, ["modes_2500"], "best")
    assert {e.checkpoint: e for e in again.evaluations}["best"].metrics == (
        by_checkpoint["best"].metrics
    )


def test_resumed_equals_uninterrupted(outputs, monkeypatch):
    composed = with_track()
    run = Run.of(composed)
    whole = train(composed, bar=False)
    best = torch.load(run.checkpoints / "snapshot-best.pt", weights_only=True)
    run.folder.rename(outputs / "whole")
    with monkeypatch.context() as patch:
        kill_after(patch, 5)
        with pytest.raises(Killed):
            train(composed, bar=False)
    record = train(composed, bar=False)
    assert [(e.checkpoint, e.metrics) for e in record.evaluations] == [
        (e.checkpoint, e.metrics) for e in whole.evaluations
    ]
    found = torch.load(run.checkpoints / "snapshot-best.pt", weights_only=True)
    assert found["images_seen"] == best["images_seen"]
    assert_same_state(found["state_dict"], best["state_dict"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["track.protocol=modes_2500"], "track: protocol and every_images must be given together"),
        (["track.protocol=x", "track.every_images=8"], "protocol 'x' does not exist"),
        (
            ["track.protocol=modes_2500", "track.every_images=0"],
            "track.every_images must be an integer >= 1 or null",
        ),
        (["track.protocol=modes_2500", "track.every_images=true"], "or null, got True"),
        (["track.protocol=modes_2500", "track.every_images=9999999"], "got 9999999"),
        (["track=null"], "track must map keys to values, got None"),
        (["track.better=more"], "track.better must be one of lower, higher or null, got 'more'"),
        (["track.better=higher"], "track: better (lower or higher) must be given with keep_best"),
        (["track.keep_best_by=fid"], "track: protocol must be given with keep_best_by"),
        (
            ["track.protocol=fd_lenet_2k_test2k", "track.every_images=8"],
            "this protocol needs images, and gaussian_ring holds vectors",
        ),
    ],
)
def test_mistakes(outputs, overrides, message, capsys):
    assert main(["train", "experiment=toy/ns_gan", *overrides]) == 2
    assert message in capsys.readouterr().err


def test_an_unknown_metric_is_named_before_training(outputs):
    with pytest.raises(UserError, match="keep_best_by must be one of modes, high_quality_percent"):
        train(with_track("fid"), bar=False)
    assert not list(outputs.rglob("record.json"))


def test_the_best_value_is_finite_and_of_one_choice(tmp_path):
    def tracker(**settings):
        values = {"protocol": "p", "every_images": 8, "keep_best_by": "m", "better": "lower"}
        track = OmegaConf.create({**values, **settings})
        return Tracker(track, "raw", tmp_path, "run", None, None, None)

    class Trainer:
        is_global_zero = False

    one = tracker()
    for value in (float("nan"), None, 3.0, 1.0, float("-inf"), 2.0):
        one._keep_best(Trainer(), None, value)
    assert one.best == 1
    same, other = tracker(), tracker(better="higher")
    for loaded in (same, other):
        loaded.load_state_dict(one.state_dict())
    assert (same.best, other.best) == (1, None)


def test_scores_are_no_training_time(outputs, monkeypatch):
    now = 0.0  # on a clock that an update moves by a second, and a score by a hundred

    def taking(seconds, work):
        def slow(self, *args, **kwargs):
            nonlocal now
            now += seconds
            return work(self, *args, **kwargs)

        return slow

    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(Scoring, "__call__", taking(100, Scoring.__call__))
    monkeypatch.setattr(AdversarialModel, "train_step", taking(1, AdversarialModel.train_step))
    record = train(with_track(), bar=False)
    assert now > 300
    assert record.cost["seconds"] == record.counters["updates"] == 6
