"""The queue joined with what was submitted, and what is said of each run."""

import json
import os
import time
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from benchmarks.core.errors import UserError
from benchmarks.execution.slurm import commands
from benchmarks.execution.slurm.commands import Entry
from benchmarks.execution.slurm.outcome import write_failure
from benchmarks.execution.slurm.queue import in_queue, places
from benchmarks.execution.slurm.state import gone_jobs, state_of
from benchmarks.execution.slurm.submissions import (
    Notes,
    Submission,
    all_submissions,
)
from benchmarks.runs.lock import Owner
from benchmarks.runs.record import Record
from tests.benchmarks.execution.conftest import submission, work

pytestmark = pytest.mark.usefixtures("outputs")


@pytest.fixture
def queue(monkeypatch):
    """What the queue shows, and how often it was asked."""
    shown, asked = [], []
    monkeypatch.setattr(commands, "queue", lambda users: asked.append(users) or list(shown))
    monkeypatch.setattr("benchmarks.execution.slurm.state.ended_states", lambda jobs: {})
    return SimpleNamespace(shown=shown, asked=asked)


def entry(made, task, state, reason="None", node=""):
    return Entry(made.name, f"12_{task}", task, state, reason, node, "10:00")


def test_a_submission_is_read_as_it_was_written(outputs):
    made = submission("quick-1", (work(0), work(1)), (work(2),))
    assert Submission.read(made.folder) == made
    assert all_submissions() == [made]
    assert made.places == {work(0).key: 0, work(1).key: 0, work(2).key: 1}
    assert made.job(1) is None
    made.keep_id("12")
    assert made.job(1) == "12_1"
    (made.folder / "runs.json").write_text("{")
    with pytest.raises(UserError, match=r"runs.json cannot be read"):
        all_submissions()


def test_what_waits_or_runs_is_in_the_queue(queue):
    made = submission("quick-1", (work(0), work(1)), (work(2),), (work(3),))
    submission("quick", (work(4),))
    queue.shown += [
        entry(made, 0, "RUNNING"), entry(made, 1, "PENDING"), entry(made, 2, "FAILED"),
        Entry("somebody's", "7", 0, "RUNNING", "", "", ""),
    ]  # fmt: skip
    Notes("12_0", "n1", 1, ended={work(0).name: 0}).write(made.notes_path(0))
    assert in_queue() == {work(1).key, work(2).key}


def test_a_run_is_looked_for_in_its_newest_submission(queue):
    submission("q", (work(0),))
    newer = submission("quicker", (work(1), work(0)))
    queue.shown.append(entry(newer, 0, "RUNNING"))
    found = places([work(0).key, work(9).key])
    assert list(found) == [work(0).key]
    assert found[work(0).key].submission == newer
    assert found[work(0).key].active
    assert len(queue.asked) == 1
    assert places([work(9).key]) == {}
    assert queue.asked == [{0}]  # nothing of ours: nobody is asked


def test_a_run_that_ended_in_a_job_that_runs_on_is_not_active(queue):
    made = submission("quick-1", (work(0), work(1)))
    queue.shown.append(entry(made, 0, "RUNNING", node="n1"))
    Notes("12_0", "n1", 1, ended={work(0).name: 1}).write(made.notes_path(0))
    found = places([work(0).key, work(1).key])
    assert [found[w.key].active for w in (work(0), work(1))] == [False, True]
    record = Record("e", "d", "r", 0, "failed", "why")
    assert state_of(work(0).run, record, found[work(0).key]).text == "failed: why"
    assert state_of(work(1).run, None, found[work(1).key]).text.startswith("waits in job 12_0")


def test_a_submission_that_slurm_never_took_hides_nothing(queue):
    old = submission("q", (work(0),))
    old.keep_id("7")
    submission("quicker", (work(0),))  # its submitter was killed
    assert places([work(0).key])[work(0).key].submission == old


def test_a_lock_that_a_job_left_elsewhere_is_seen_through(queue, tmp_path):
    made = submission("quick-1", (work(0),))
    made.keep_id("12")
    run = work(0).run
    record = Record("toy/ns_gan", "gaussian_ring", "ab-r1-s0", 0, "interrupted", "started")
    record.write(run.record_path)
    owner = {**asdict(Owner.myself()), "place": "node7 boot pid", "host": "node7"}
    run.lock_path.write_text(json.dumps(owner))
    place = places([work(0).key])[work(0).key]
    assert (
        state_of(run, record, place, {"12": "NODE_FAIL"}).kind == "running"
    )  # it has just beaten
    before = time.time() - 1000
    os.utime(run.lock_path, (before, before))
    assert state_of(run, record, place, {"12": "NODE_FAIL"}).text == "ended: NODE_FAIL (job 12)"
    began = time.monotonic()
    write_failure(work(0), "time limit: x", gone=True)
    assert time.monotonic() - began < 5  # not watched for as long as a beat may take
    assert run.record().status == "failed"


def described(queue, made, record=None, gone=None):
    place = places([work(0).key])[work(0).key]
    return state_of(work(0).run, record, place, gone or gone_jobs([place]))


def test_states_of_a_run_in_the_queue(queue):
    made = submission("quick-1", (work(0),), (work(1),))
    made.keep_id("12")
    queue.shown.append(entry(made, 0, "PENDING", "Priority"))
    assert described(queue, made).text == "pending (Priority), job 12_0"
    Notes("12_0", "n1", 1).write(made.notes_path(0))
    found = described(queue, made)
    assert found.kind == "requeued"
    assert "its life 1 on n1: ended without a word: it, or its node, was killed" in found.text
    Notes("12_0", "n1", 1, left="queued again").write(made.notes_path(0))
    assert described(queue, made).text.endswith("its life 1 on n1: queued again")

    queue.shown[:] = [entry(made, 0, "RUNNING", node="n2")]
    assert described(queue, made).text == "starts in job 12_0 on n2"
    work(0).run.folder.mkdir(parents=True)
    values = {"images_seen": 1, "budget_images": 4, "seconds_left": 3661.0}
    work(0).run.progress_path.write_text(json.dumps(values))
    with work(0).run.locked():
        text = "running on n2 at 25%, 1:01:01 left (job 12_0, 10:00 of its time left)"
        assert described(queue, made) == state_of(
            work(0).run, None, places([work(0).key])[work(0).key]
        )
        assert described(queue, made).text == text


def test_states_of_a_run_whose_job_is_gone(queue):
    made = submission("quick-1", (work(0),), (work(1),))
    made.keep_id("12")
    assert described(queue, made).text == (
        "ended: gone, and SLURM remembers nothing of it (job 12_0)"
    )
    made.log(0).write_text("first\n\nTraceback\nno module\n")
    found = described(queue, made, gone={"12_0": "NODE_FAIL"})
    assert (found.kind, found.text) == ("ended", "ended: NODE_FAIL (job 12_0)")
    assert found.tail == ("first", "Traceback", "no module")
    queue.shown.append(entry(made, 0, "OUT_OF_MEMORY"))
    assert described(queue, made).text == "ended: OUT_OF_MEMORY (job 12_0)"
    queue.shown.clear()
    Notes("12_0", "n1", 1, left="cancelled").write(made.notes_path(0))
    assert described(queue, made).text == "cancelled at 0% (job 12_0 on n1)"
    record = Record("e", "d", "r", 0, "failed", "why")
    (work(0).run.folder).mkdir(parents=True)
    (work(0).run.folder / "run.log").write_text("x" * 500)
    found = described(queue, made, record)
    assert (found.kind, found.text, found.tail) == ("failed", "failed: why", ("x" * 160,))
    record.status = "finished"
    assert described(queue, made, record).kind == "finished"
