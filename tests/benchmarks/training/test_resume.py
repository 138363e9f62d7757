"""Killed and resumed = never interrupted, to the bit, for every kind of training."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks.runs.folder import Run
from benchmarks.training.train import train
from datamodules.base import BatchStream
from tests.helpers import KINDS, METHODS, assert_same_state, assert_same_training, tiny_run

ROOT = Path(__file__).parents[3]
STEPS = 7


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it, nothing more is written."""


EXTRAS = {  # options with state of their own
    "ns_gan_with_extras": (
        "lucic2018/ns_gan_quick",
        "model.generator.ema_decay=0.9",
        "model.clip_grad_norm=0.5",
        "model.schedule={_target_: lit_models.training.schedules.LinearSchedule, begin_images: 8, "
        "end_images: 48, final_factor: 0.1}",
    ),
    "vae_in_float64": ("lucic2018/vae_quick", "precision=64-true"),
}


def composed_run(method):
    experiment, *overrides = EXTRAS.get(method, [METHODS.get(method, method)])
    composed = tiny_run(experiment, ["logger=csv", *overrides], steps=STEPS)
    composed.cfg.checkpoint_every_images = 2 * composed.cfg.images_seen // STEPS
    return composed


def rows(run):
    with (run.logs / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def last_checkpoint(run):
    path = max(run.checkpoints.glob("*.ckpt"), key=lambda p: int(p.stem))
    return torch.load(path, weights_only=True)


def kill_after(monkeypatch, batches):
    plain = BatchStream.__iter__

    def cut(self):
        for i, batch in enumerate(plain(self)):
            if i == batches:
                raise Killed
            yield batch

    monkeypatch.setattr(BatchStream, "__iter__", cut)


@pytest.mark.parametrize("method", [*KINDS, *EXTRAS])
def test_resumed_equals_uninterrupted(method, outputs, monkeypatch):
    assert_resume_is_exact(composed_run(method), outputs, monkeypatch)


def assert_resume_is_exact(composed, outputs, monkeypatch):
    run = Run.of(composed)
    assert train(composed, bar=False).status == "finished"
    whole = last_checkpoint(run)
    log = (run.logs / "metrics.csv").read_text()
    run.folder.rename(outputs / "whole")

    with monkeypatch.context() as patch:
        kill_after(patch, 6)  # one batch is fetched ahead: five updates, the last one not saved
        with pytest.raises(Killed):
            train(composed, bar=False)
    assert run.record().status == "interrupted"
    assert last_checkpoint(run)["images_seen"] == composed.cfg.images_seen * 4 // STEPS
    logged = [int(row["images_seen"]) for row in rows(run)]
    assert max(logged) == composed.cfg.images_seen * 5 // STEPS  # lost, to be done again

    record = train(composed, bar=False)
    resumed = last_checkpoint(run)
    assert record.status == "finished"
    assert record.counters["updates"] == STEPS
    assert_same_training(resumed, whole)
    assert resumed["global_step"] == whole["global_step"] == STEPS
    assert (run.logs / "metrics.csv").read_text() == log


def test_an_interrupted_save_costs_one_checkpoint_only(outputs, monkeypatch):
    composed = composed_run("vae")
    run = Run.of(composed)
    with monkeypatch.context() as patch:
        kill_after(patch, 5)
        with pytest.raises(Killed):
            train(composed, bar=False)
    newest, older = sorted(run.checkpoints.glob("*.ckpt"), key=lambda p: -int(p.stem))
    newest.write_bytes(newest.read_bytes()[:100])
    assert older.exists()
    assert train(composed, bar=False).status == "finished"


def test_a_finished_run_is_not_trained_again(outputs, monkeypatch):
    composed = composed_run("vae")
    first = train(composed, bar=False)
    kill_after(monkeypatch, 0)
    second = train(composed, bar=False)
    assert second.to_json() == first.to_json()


@pytest.mark.slow
def test_sigkill_of_a_real_process(outputs, tmp_path):
    """The command itself, killed by the system and started again."""
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "train",
        "--no-bar",
        "experiment=lucic2018/ns_gan_quick",
        "images_seen=6400",
        "checkpoint_every_images=640",
        "protocols=[]",
    ]

    def start(where):
        environment = {**os.environ, "DGMBENCH_OUTPUTS": str(tmp_path / where)}
        environment["PYTHONPATH"] = str(ROOT)
        return subprocess.Popen(command, env=environment, cwd=tmp_path)

    assert start("whole").wait() == 0
    job = start("cut")
    while not list(tmp_path.glob("cut/*/*/*/checkpoints/3*.ckpt")):
        assert job.poll() is None
        time.sleep(0.05)
    job.send_signal(signal.SIGKILL)
    job.wait()
    assert start("cut").wait() == 0
    states = [
        torch.load(next(tmp_path.glob(f"{w}/*/*/*/checkpoints/6400.ckpt")), weights_only=True)
        for w in ("whole", "cut")
    ]
    assert_same_state(states[0]["state_dict"], states[1]["state_dict"])
    with next(tmp_path.glob("cut/*/*/*/logs/metrics.csv")).open() as file:
        images = [int(r["images_seen"]) for r in csv.DictReader(file) if "generator" in r["name"]]
    assert images == sorted(set(images))


def test_an_untrained_run_has_a_checkpoint(outputs):
    composed = composed_run("vae")
    composed.cfg.images_seen = 0
    assert train(composed, bar=False).status == "finished"
    assert last_checkpoint(Run.of(composed))["images_seen"] == 0


def test_a_torn_last_checkpoint_is_written_again(outputs):
    composed = composed_run("vae")
    run = Run.of(composed)
    train(composed, bar=False)
    whole = last_checkpoint(run)
    newest = max(run.checkpoints.glob("*.ckpt"), key=lambda p: int(p.stem))
    newest.write_bytes(b"torn")
    run.record_path.unlink()
    assert train(composed, bar=False).status == "finished"
    assert_same_state(last_checkpoint(run)["state_dict"], whole["state_dict"])
