"""Who puts a job into the queue again: this process, SLURM, or nobody."""

import pytest

from benchmarks.execution.slurm import commands, leaving
from benchmarks.execution.slurm.commands import JobInfo, SlurmError
from benchmarks.execution.slurm.leaving import leave, leave_own_job, near_limit
from lit_models.training.interruption import EXIT_CODE

RUNNING = JobInfo("RUNNING", 0, True, True, 1000.0)


@pytest.fixture
def requeued(monkeypatch):
    """The jobs that were put into the queue."""
    found = []
    monkeypatch.setattr(commands, "requeue", found.append)
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
    return found


@pytest.mark.parametrize(
    ("info", "code", "words", "by_us"),
    [
        (RUNNING, 0, "queued again", True),
        (JobInfo("SUSPENDED", 0, True, True, None), 0, "queued again", True),
        (JobInfo("CANCELLED", 0, True, True, 10.0), EXIT_CODE, "cancelled", False),
        # SLURM shows a cancelled job as one that completes, and a requeued one with a restart more
        (JobInfo("COMPLETING", 0, True, True, 10.0), EXIT_CODE, "cancelled", False),
        (JobInfo("COMPLETING", 1, True, True, 10.0), 0, "queued again by SLURM", False),
        (JobInfo("COMPLETING", 0, True, True, 0.0), 0, "queued again", True),  # its time is up
        (JobInfo("PENDING", 1, True, True, 10.0), 0, "queued again by SLURM", False),
        (JobInfo("PREEMPTED", 0, True, True, 1.0), 0, "queued again by SLURM (PREEMPTED)", False),
        (JobInfo("RUNNING", 0, False, True, 9.0), EXIT_CODE, "stopped; this job may not", False),
        (JobInfo("RUNNING", 0, True, False, 9.0), EXIT_CODE, "stopped; this job may not", False),
    ],
)
def test_leave(info, code, words, by_us, requeued):
    found, said = leave("12_3", info)
    assert found == code
    assert said.startswith(words)
    assert requeued == (["12_3"] if by_us else [])


def test_a_job_in_its_second_life_is_not_taken_for_queued(requeued, monkeypatch):
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert leave("12", JobInfo("RUNNING", 1, True, True, 9.0)) == (0, "queued again")
    assert requeued == ["12"]


def test_slurm_that_refuses_leaves_the_code_of_unfinished_work(monkeypatch):
    def refuse(job):
        raise SlurmError("SLURM refused: requeue is disabled")

    monkeypatch.setattr(leaving, "TRY_SECONDS", 0.0)
    monkeypatch.setattr(commands, "requeue", refuse)
    monkeypatch.setattr(commands, "job_info", lambda job: RUNNING)
    code, said = leave("12", RUNNING)
    assert code == EXIT_CODE
    assert "requeue is disabled" in said
    monkeypatch.setattr(commands, "job_info", refuse)
    assert leave("12")[0] == EXIT_CODE


def test_a_busy_controller_is_asked_again(requeued, monkeypatch):
    answers = [SlurmError("Socket timed out"), RUNNING]

    def job_info(job):
        answer = answers.pop(0)
        if isinstance(answer, SlurmError):
            raise answer
        return answer

    monkeypatch.setattr(leaving, "TRY_SECONDS", 0.0)
    monkeypatch.setattr(commands, "job_info", job_info)
    assert leave("12") == (0, "queued again")
    # a requeue that was done although its answer was lost
    answers += [JobInfo("PENDING", 1, True, True, 9.0)]
    monkeypatch.setattr(commands, "requeue", lambda job: job_info("no answer"))
    answers[:0] = [SlurmError("Socket timed out")]
    assert leave("12", RUNNING) == (0, "queued again by SLURM")


def test_near_the_limit():
    assert near_limit(JobInfo("RUNNING", 0, True, True, 170.0), 120)  # a minute early
    assert near_limit(JobInfo("COMPLETING", 0, True, True, -1.0), 120)
    assert not near_limit(JobInfo("COMPLETING", 0, True, True, 9.0), 120)  # cancelled
    assert not near_limit(JobInfo("RUNNING", 0, True, True, 300.0), 120)
    assert not near_limit(JobInfo("RUNNING", 0, True, True, None), 120)


def test_only_the_first_process_of_a_job_of_ones_own_decides(requeued, monkeypatch):
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(commands, "job_info", lambda job: RUNNING)
    monkeypatch.setattr(leaving.signal, "signal", lambda *_: None)
    assert leave_own_job("SIGUSR1") is None
    monkeypatch.setenv("SLURM_JOB_ID", "15")
    assert leave_own_job("SIGUSR1") == (0, "queued again")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert leave_own_job("SIGUSR1") == (0, "queued again")
    assert requeued == ["15", "12_3"]
    monkeypatch.setenv("RANK", "1")  # of torchrun, in one task
    assert leave_own_job("SIGUSR1")[0] == 0
    monkeypatch.delenv("RANK")
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert leave_own_job("SIGUSR1")[0] == 0
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv(leaving.LOOKED_AFTER, "1")
    assert leave_own_job("SIGUSR1") is None
    assert requeued == ["15", "12_3"]


@pytest.mark.parametrize(
    ("info", "goes_on"),
    [
        (RUNNING, True),  # somebody's kill
        (JobInfo("RUNNING", 0, True, True, 1000.0, preempted=True), False),
        (JobInfo("RUNNING", 0, True, True, 100.0), False),
        (JobInfo("PENDING", 1, True, True, 1000.0), False),
    ],
)
def test_a_sigterm_that_is_not_slurms_ends_the_process_alone(info, goes_on, requeued, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "15")
    for name in ("SLURM_ARRAY_JOB_ID", "SLURM_PROCID", leaving.LOOKED_AFTER):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(commands, "job_info", lambda job: info)
    monkeypatch.setattr(leaving.signal, "signal", lambda *_: None)
    assert (leave_own_job("SIGTERM") is None) is goes_on
