"""A cluster whose sacct does not answer: the queue and the jobs' own notes are all there is."""

import os
import signal
from contextlib import suppress

import pytest

from benchmarks.execution.slurm import commands
from benchmarks.runs.record import read_record
from tests.slurm.cluster import environment_of, processes
from tests.slurm.helpers import dgmbench, table_file, wait_for

pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def late(cluster_without_accounting, tmp_path_factory):
    """A table whose only job hangs and is about to meet its time limit; its outputs, its file."""
    folder = tmp_path_factory.mktemp("late")
    spec = table_file(folder, "late", 1)
    settings = ("launcher.setup=[sleep 300]", "launcher.time_minutes=4")
    assert dgmbench(*submission(spec), *settings, DGMBENCH_OUTPUTS=str(folder / "o"))[0] == 0
    (entry,) = wait_for(lambda: [e for e in commands.queue() if e.state == "RUNNING"], "it")
    cluster_without_accounting.ask("scontrol", "update", f"JobId={entry.job}", "TimeLimit=1")
    return folder / "o", spec


def submission(spec):
    """The command that submits what a table lacks."""
    return ("table", spec, "--launcher", "slurm")


def active(name):
    """The jobs of a table that wait or run."""
    return [e for e in commands.queue() if e.active and f"-{name}-" in e.name]


def test_a_job_that_dies_without_a_word_is_told_and_done_again(
    cluster_without_accounting, late, space, tmp_path
):
    assert commands.ended_states(["1"]) == {}
    spec = table_file(tmp_path, "lost", 1, experiment="oord2016/pixelcnn_quick")
    table = submission(spec)
    assert dgmbench(*table)[0] == 0
    wait_for(lambda: list(space.rglob("*.ckpt")), "a checkpoint")
    assert "running on dgm" in dgmbench("status", spec)[1]
    (entry,) = active("lost")
    for process in processes():  # the whole step at once, so that nobody can write why
        if f"SLURM_JOB_ID={entry.job}" in environment_of(process):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    wait_for(lambda: not active("lost"), "the end")
    said = dgmbench("status", spec)[1]
    assert "0/1, 1 ended" in said
    assert "ended: FAILED" in said
    (path,) = space.glob("*/*/*/record.json")
    assert read_record(path).status == "interrupted"

    code, said = dgmbench(*table)
    assert code == 0
    assert "submitted 1 run(s)" in said
    wait_for(lambda: [e for e in active("lost") if e.state == "RUNNING"], "the next job")
    assert "cancelled 1 job(s)" in dgmbench("cancel", spec)[1]
    wait_for(lambda: not active("lost"), "the end")
    wait_for(lambda: "cancelled at " in dgmbench("status", spec)[1], "the word")


def test_a_run_out_of_time_stays_failed_until_asked(late, monkeypatch):
    space, spec = late
    monkeypatch.setenv("DGMBENCH_OUTPUTS", str(space))
    wait_for(lambda: not active("late"), "the end")
    assert "ended: TIMEOUT" in dgmbench("status", spec)[1]
    code, said = dgmbench(*submission(spec))
    assert code == 1
    assert "1 run(s) failed before" in said
    (path,) = space.glob("*/*/*/record.json")
    assert read_record(path).reason.startswith("time limit: ended by SLURM in job ")
    assert dgmbench(*submission(spec), "--retry", "oom")[0] == 1
    code, said = dgmbench(*submission(spec), "--retry", "timeout")
    assert code == 0, said
    assert "submitted 1 run(s)" in said
    wait_for(lambda: not active("late"), "the end")
    assert "1/1" in dgmbench("status", spec)[1]
