"""Runs that are killed and go on, for loggers that keep one history."""

import pytest
from omegaconf import OmegaConf

from benchmarks.runs.folder import Run
from benchmarks.training.train import train
from tests.benchmarks.training.test_resume import STEPS, Killed, composed_run, kill_after, rows


def logged(loggers, protocols=()):
    """A tiny run with these loggers, of 7 updates, which a kill cuts after 5 and 4 are saved."""
    composed = composed_run("pixel_cnn")
    composed.cfg.logger = OmegaConf.create(loggers)
    composed.cfg.protocols = list(protocols)
    return composed


def cut(composed, monkeypatch):
    with monkeypatch.context() as patch:
        kill_after(patch, 6)
        with pytest.raises(Killed):
            train(composed, bar=False)


def assert_one_history(found, composed):
    """The scalars found by (name, images_seen) are those of metrics.csv, each once."""
    run, step = Run.of(composed), composed.cfg.model.batch_size
    expected = {(r["name"], int(r["images_seen"])): float(r["value"]) for r in rows(run)}
    assert {at for name, at in expected if name == "train/loss"} == {
        step * i for i in range(1, STEPS + 1)
    }
    assert set(expected) <= set(found)
    assert {key: found[key] for key in expected} == pytest.approx(expected)
