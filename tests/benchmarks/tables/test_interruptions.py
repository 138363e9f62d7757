"""A table that is interrupted again and again, and one with runs side by side."""

import os
import random
import signal
import sys
import time

import pytest
import torch

from benchmarks.runs.record import read_record
from tests.helpers import assert_same_training
from tests.reliability.jobs import Job, checkpoints

pytestmark = pytest.mark.slow

SPEC = """
title: small
note: ""
seeds: 2
columns:
  - label: bits
    dataset: digits
    protocol: bits_per_dim_test
    metric: bits_per_dim
    better: lower
    digits: 3
rows:
  - {label: softmax, experiment: kingma2014/vae_categorical_quick}
  - {label: logistic, experiment: kingma2014/vae_logistic_quick}
  - {label: untrained, experiment: untrained/pixelcnn_quick}
"""
INTERRUPTIONS = 10


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The table, uninterrupted, one run after the other."""
    return run_whole(tmp_path_factory.mktemp("whole"), 1)


def arguments(folder, jobs):
    (folder / "small.yaml").write_text(SPEC)
    table = str(folder / "small.yaml")
    return [sys.executable, "-m", "benchmarks", "table", table, "--jobs", str(jobs)]


def run_whole(folder, jobs):
    with Job(folder / "outputs", arguments(folder, jobs)) as job:
        said, _ = job.process.communicate(timeout=900)
    assert job.process.returncode == 0, said
    return folder / "outputs"


def what_was_measured(space):
    """Return all records without what only clocks and machines decide."""
    found = {}
    for path in sorted(space.glob("*/*/*/record.json")):
        record = read_record(path)
        scores = [(e.fingerprint, e.checkpoint, e.metrics) for e in record.evaluations]
        found["/".join(path.parts[-4:-1])] = (
            record.status,
            record.config,
            record.counters,
            record.data_fingerprint,
            scores,
        )
    return found


def assert_same(space, whole):
    assert what_was_measured(space) == what_was_measured(whole)
    assert len(what_was_measured(space)) == 6
    for folder in whole.glob("*_quick/*/*"):
        other = space / folder.relative_to(whole)
        states = [torch.load(checkpoints(f)[0], weights_only=True) for f in (other, folder)]
        assert_same_training(*states)


def test_two_runs_side_by_side_are_those_of_one_at_a_time(whole, tmp_path):
    assert_same(run_whole(tmp_path, 2), whole)


def test_ten_interruptions_change_nothing(whole, tmp_path):
    draw, space, hits = random.Random(0), tmp_path / "outputs", 0
    for i in range(INTERRUPTIONS):
        with Job(space, arguments(tmp_path, 2)) as job:
            began = set(space.rglob("*.ckpt"))  # a new one takes the place of an old one
            job.wait_for(lambda: set(space.rglob("*.ckpt")) - began)  # noqa: B023
            time.sleep(draw.uniform(0, 2))
            hits += job.process.poll() is None
            if i % 2:
                os.killpg(job.process.pid, signal.SIGKILL)  # the runs, too
            else:
                job.send(signal.SIGTERM)
            job.end()
    with Job(space, arguments(tmp_path, 2)) as job:
        said, _ = job.process.communicate(timeout=900)
    assert job.process.returncode == 0, said
    assert hits == INTERRUPTIONS
    assert_same(space, whole)
