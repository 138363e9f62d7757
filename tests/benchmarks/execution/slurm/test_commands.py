"""What SLURM's commands say, and what is made of it."""

import os

import pytest

from benchmarks.execution.slurm import commands
from benchmarks.execution.slurm.commands import Entry, JobInfo, Partition, SlurmError


def test_queue_reads_arrays_and_single_jobs(fake):
    asked = fake(
        "squeue",
        "dgmbench-t-1|12|3|RUNNING|node7|1:02:03|None\n"
        "dgmbench-t-2|14|N/A|PENDING||10:00|ReqNodeNotAvail, UnavailableNodes:node[1-2]\n",
    )
    assert commands.queue() == [
        Entry("dgmbench-t-1", "12_3", 3, "RUNNING", "None", "node7", "1:02:03"),
        Entry("dgmbench-t-2", "14", 0, "PENDING", "ReqNodeNotAvail, UnavailableNodes:node[1-2]",
              "", "10:00"),
    ]  # fmt: skip
    (line,) = asked.read_text().splitlines()
    assert f"--user={os.getuid()} " in line


@pytest.mark.parametrize(
    ("state", "active"),
    [("PENDING", True), ("RUNNING", True), ("COMPLETING", True), ("REQUEUE_HOLD", True),
     ("COMPLETED", False), ("FAILED", False), ("NODE_FAIL", False), ("OUT_OF_MEMORY", False)],
)  # fmt: skip
def test_only_what_may_still_run_is_active(state, active):
    assert Entry("n", "1", 0, state, "", "", "").active is active


def test_accounting_tells_each_task(fake):
    fake("sacct", "12_0|COMPLETED\n12_1|CANCELLED by 0\n13_[0-2,7%4]|PENDING\n14|TIMEOUT\n")
    jobs = ["12_0", "12_1", "13_2", "13_7", "13_5", "14_3", "99"]
    assert commands.ended_states(jobs) == {
        "12_0": "COMPLETED",
        "12_1": "CANCELLED",
        "13_2": "PENDING",
        "13_7": "PENDING",
        "14_3": "TIMEOUT",
    }


def test_without_accounting_nothing_is_known(fake):
    assert commands.ended_states(["12_0"]) == {}  # no sacct at all
    fake("sacct", code=1, error="Slurm accounting storage is disabled\n")
    assert commands.ended_states(["12_0"]) == {}


def test_job_info(fake):
    fake(
        "scontrol",
        "JobId=24 ArrayJobId=23 JobState=RUNNING Reason=None Requeue=1 Restarts=2 BatchFlag=1 "
        "RunTime=00:01:04 TimeLimit=1-00:10:00 PreemptTime=2026-11-21T20:00:00\n"
        "JobId=23 JobState=PENDING\n",
    )
    assert commands.job_info("23_0") == JobInfo("RUNNING", 2, True, True, 86400 + 600 - 64, True)
    fake(
        "scontrol",
        "JobId=24 JobState=RUNNING Requeue=0 RunTime=00:01:04 TimeLimit=UNLIMITED "
        "PreemptTime=None\n",
    )
    assert commands.job_info("24") == JobInfo("RUNNING", 0, False, False, None)


def test_partitions(fake):
    fake("sinfo", "main*|gpu:a100:4(S:0-1),gpu:2|64|12|infinite\nshort|(null)|8+|3|1-00:30:00\n")
    assert commands.partitions() == [
        Partition("main", True, 6, 64, 12, None),
        Partition("short", False, 0, 8, 3, 1470),
    ]


def test_slurm_is_quoted_and_its_absence_is_named(fake):
    fake("scancel", code=1, error="scancel: error: Invalid job id\n 12\n")
    with pytest.raises(SlurmError, match="^SLURM refused: scancel: error: Invalid job id 12$"):
        commands.cancel(["12"])
    with pytest.raises(SlurmError, match="no SLURM on this machine: scontrol is not on the PATH"):
        commands.requeue("12")


def test_nothing_is_asked_of_nobody(fake):
    asked = fake("scancel")
    commands.cancel([])
    assert not asked.exists()
    commands.cancel([str(i) for i in range(1001)])
    assert len(asked.read_text().splitlines()) == 3


def test_variables_of_the_job_around_are_hidden(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "7")
    monkeypatch.setenv("SLURM_CONF", "here")
    with commands.outside_of_jobs():
        assert "SLURM_NTASKS" not in os.environ
        assert os.environ["SLURM_CONF"] == "here"
    assert os.environ["SLURM_NTASKS"] == "7"
