"""Asked to end: at the next update, in scores while training, in the evaluation; nothing lost."""

import pytest

from benchmarks.evaluation import sources
from benchmarks.runs.folder import Run
from benchmarks.training.train import train
from datamodules.base import BatchStream
from lit_models.training import interruption
from lit_models.training.interruption import Interrupted
from tests.benchmarks.training.test_resume import composed_run, last_checkpoint
from tests.benchmarks.training.test_tracking import with_track
from tests.helpers import assert_same_state


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    monkeypatch.setattr(interruption, "_requested", None)


def ask_in_batch(monkeypatch, number):
    plain = BatchStream.__iter__

    def asking(self):
        for i, batch in enumerate(plain(self)):
            if i == number:
                interruption.request("SIGTERM")
            yield batch

    monkeypatch.setattr(BatchStream, "__iter__", asking)


def ask_in_chunk(monkeypatch, number):
    """Ask in the n-th chunk of samples from now on."""
    plain, calls = sources.ModelSource.__call__, []

    def asking(self, index, generator):
        calls.append(index)
        if len(calls) == number:
            interruption.request("SIGUSR1")
        return plain(self, index, generator)

    monkeypatch.setattr(sources.ModelSource, "__call__", asking)


def go_on(composed):
    interruption._requested = None
    return train(composed, bar=False)


def test_training_ends_at_the_next_update_and_goes_on(outputs, monkeypatch):
    composed = composed_run("ns_gan")
    run = Run.of(composed)
    train(composed, bar=False)
    whole = last_checkpoint(run)
    run.folder.rename(outputs / "whole")
    with monkeypatch.context() as patch:
        ask_in_batch(patch, 3)  # one batch is fetched ahead: in the third update
        with pytest.raises(Interrupted, match="SIGTERM"):
            train(composed, bar=False)
    record = run.record()
    assert (record.status, record.reason) == ("interrupted", "stopped by SIGTERM")
    step = composed.cfg.images_seen // 7
    assert record.counters["images_seen"] == last_checkpoint(run)["images_seen"] == 3 * step
    assert not (run.folder / "error.txt").exists()
    assert go_on(composed).status == "finished"
    assert_same_state(last_checkpoint(run)["state_dict"], whole["state_dict"])


def test_the_evaluation_ends_at_the_next_chunk_and_goes_on(outputs, monkeypatch):
    composed = composed_run("lin2018/gan")
    composed.cfg.protocols = ["modes_2500"]
    run = Run.of(composed)
    whole = train(composed, bar=False)
    run.folder.rename(outputs / "whole")
    with monkeypatch.context() as patch:
        ask_in_chunk(patch, 3)  # two samples are tried first
        with pytest.raises(Interrupted, match="SIGUSR1"):
            train(composed, bar=False)
    assert run.record().evaluations == []
    assert run.record().reason == "stopped by SIGUSR1"
    record = go_on(composed)
    assert record.evaluations[0].metrics == whole.evaluations[0].metrics


@pytest.mark.parametrize("chunk", [2, 5])
def test_a_score_in_training_is_caught_up_with(outputs, monkeypatch, chunk):
    composed = with_track()
    run = Run.of(composed)
    whole = train(composed, bar=False)
    last = last_checkpoint(run)
    run.folder.rename(outputs / "whole")
    with monkeypatch.context() as patch:
        ask_in_chunk(patch, chunk)
        with pytest.raises(Interrupted):
            train(composed, bar=False)
    at = last_checkpoint(run)["images_seen"]
    assert at % 16 == 0
    assert str(at) not in [e.checkpoint for e in run.record().evaluations]
    record = go_on(composed)
    assert [(e.checkpoint, e.metrics) for e in record.evaluations] == [
        (e.checkpoint, e.metrics) for e in whole.evaluations
    ]
    assert_same_state(last_checkpoint(run)["state_dict"], last["state_dict"])
    best = [c["callbacks"]["Tracker"]["best"] for c in (last, last_checkpoint(run))]
    assert best[0] == best[1]
