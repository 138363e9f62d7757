"""What a job does with its runs."""

import signal
import subprocess
import sys

import pytest

from benchmarks.execution.slurm import commands, job, outcome
from benchmarks.execution.slurm.commands import JobInfo
from benchmarks.execution.slurm.job import Job
from benchmarks.execution.slurm.outcome import reached, why, write_failure
from benchmarks.execution.slurm.submissions import Notes
from benchmarks.runs.record import Record, read_record
from lit_models.training.interruption import EXIT_CODE, signals_noted
from tests.benchmarks.execution.conftest import submission, work

POPEN = subprocess.Popen
pytestmark = pytest.mark.usefixtures("outputs")


@pytest.fixture(autouse=True)
def _in_a_job(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID", raising=False)
    monkeypatch.setattr(job, "POLL_SECONDS", 0.01)


def ends_with(monkeypatch, codes, script="import sys; sys.exit({})"):
    """Let runs end with these codes, in turn."""
    left = list(codes)

    def start(command, **options):
        return POPEN([sys.executable, "-c", script.format(left.pop(0))], **options)

    monkeypatch.setattr(job.subprocess, "Popen", start)


def test_runs_one_after_the_other(monkeypatch):
    made = submission("a", (work(0), work(1), work(2)))
    ends_with(monkeypatch, [0, 2, 0])
    assert Job(made.folder, 0).run() == 1
    notes = made.notes(0)
    assert notes.ended == {work(0).name: 0, work(1).name: 2, work(2).name: 0}
    assert (notes.job, notes.lives, notes.left) == ("12", 1, "done")
    found = read_record(work(1).run.record_path)
    assert (found.status, found.reason, found.method) == ("failed", "ended with code 2", "toy")
    assert not work(0).run.record_path.exists()


def test_a_second_life_does_what_is_left(monkeypatch):
    made = submission("a", (work(0), work(1)))
    Notes("12", "n1", 1, ended={work(0).name: 0}).write(made.notes_path(0))
    ends_with(monkeypatch, [0])
    assert Job(made.folder, 0).run() == 0
    assert made.notes(0).lives == 2


def test_real_verbs_are_run_and_their_last_words_kept():
    made = submission("a", (work(0, ("train", "experiment=nothing")), work(1, ("--version",))))
    assert Job(made.folder, 0).run() == 1
    assert "experiment 'nothing' does not exist" in read_record(work(0).run.record_path).reason
    assert "dgmbench 0" in (work(1).run.folder / "run.log").read_text()


def test_a_run_that_was_stopped_leaves_the_job(monkeypatch):
    monkeypatch.setattr(commands, "job_info", lambda name: JobInfo("CANCELLED", 0, True, True, 9))
    made = submission("a", (work(0), work(1)))
    ends_with(monkeypatch, [EXIT_CODE])
    assert Job(made.folder, 0).run() == EXIT_CODE
    assert made.notes(0).left == "cancelled"
    assert made.notes(0).ended == {}


def test_a_signal_reaches_runs_that_are_side_by_side(monkeypatch):
    asked = []
    monkeypatch.setattr(commands, "job_info", lambda name: JobInfo("RUNNING", 0, True, True, 9999))
    monkeypatch.setattr(commands, "requeue", asked.append)
    made = submission("a", (work(0), work(1), work(2)), side_by_side=2)
    ends_with(monkeypatch, [1, 2], script="import time; time.sleep(100)")
    begun = []
    real = Job._start

    def start(self, *arguments):
        begun.append(arguments)
        if len(begun) == 2:
            signal.raise_signal(signal.SIGUSR2)
        return real(self, *arguments)

    monkeypatch.setattr(Job, "_start", start)
    with signals_noted():
        assert Job(made.folder, 0).run() == 0
    assert [slot for _, slot, _ in begun] == [0, 1]
    assert made.notes(0).left == "queued again"
    assert asked == ["12"]


@pytest.mark.parametrize(
    ("left", "lives", "reason"),
    [
        (90, 2, "time limit: no progress in 2 lives of a job of 60 minutes"),
        (9999, 5, "no progress in 5 lives of a job"),
    ],
)
def test_no_progress_life_after_life_is_a_failure(monkeypatch, left, lives, reason):
    info = JobInfo("RUNNING", 0, True, True, left)
    monkeypatch.setattr(commands, "job_info", lambda name: info)
    monkeypatch.setattr(commands, "requeue", lambda name: None)
    made = submission("a", (work(0), work(1)))
    ends_with(monkeypatch, [EXIT_CODE] * lives)
    for _ in range(lives - 1):
        assert Job(made.folder, 0).run() == 0
        assert not work(0).run.record_path.exists()
    assert Job(made.folder, 0).run() == 1
    assert read_record(work(0).run.record_path).reason == reason
    assert not work(1).run.record_path.exists()  # it had no turn
    assert made.notes(0).ended == {work(0).name: 1}


def test_a_life_with_progress_forgives_those_before(monkeypatch):
    monkeypatch.setattr(commands, "job_info", lambda name: JobInfo("RUNNING", 0, True, True, 90))
    monkeypatch.setattr(commands, "requeue", lambda name: None)
    made = submission("a", (work(0),))
    folder = work(0).run.checkpoints
    folder.mkdir(parents=True)
    for life in range(3):  # idle, with progress, idle
        path = folder / "64.ckpt" if life == 1 else folder / "x"
        script = f"open({str(path)!r}, 'w'); raise SystemExit({{}})"
        ends_with(monkeypatch, [EXIT_CODE], script)
        assert Job(made.folder, 0).run() == 0
    assert made.notes(0).idle == 1


def test_progress_before_the_limit_is_queued_again(monkeypatch):
    monkeypatch.setattr(commands, "job_info", lambda name: JobInfo("RUNNING", 0, True, True, 90))
    monkeypatch.setattr(commands, "requeue", lambda name: None)
    made = submission("a", (work(0), work(1)))
    ends_with(monkeypatch, [0, EXIT_CODE])  # the first ended in this life
    assert Job(made.folder, 0).run() == 0
    folder = work(2).run.checkpoints
    script = f"import pathlib; pathlib.Path({str(folder)!r}).mkdir(parents=True); "
    script += f"pathlib.Path({str(folder / '64.ckpt')!r}).touch(); raise SystemExit({{}})"
    made = submission("b", (work(2),))
    ends_with(monkeypatch, [EXIT_CODE], script=script)
    assert Job(made.folder, 0).run() == 0
    assert reached(work(2)) == (64, 0)


def test_other_processes_of_a_job_leave_notes_to_the_first(monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "1")
    made = submission("a", (work(0, ("train",)), work(1, ("train",))))
    ends_with(monkeypatch, [1, EXIT_CODE])
    assert Job(made.folder, 0).run() == 0
    assert not made.notes_path(0).exists()
    assert not work(0).run.record_path.exists()
    assert (work(0).run.folder / "run.1.log").exists()


def test_a_run_that_an_earlier_life_still_holds_is_waited_for(monkeypatch):
    monkeypatch.setattr(job, "RETRY_SECONDS", 0.0)
    made = submission("a", (work(0), work(1)))
    script = "print('dgmbench: run x is in use by process 7'); raise SystemExit({})"
    ends_with(monkeypatch, [2, 2, 0, 0], script)
    assert Job(made.folder, 0).run() == 0
    assert made.notes(0).ended == {work(0).name: 0, work(1).name: 0}
    monkeypatch.setattr(job, "MOST_TRIES", 2)
    made = submission("b", (work(1),))
    ends_with(monkeypatch, [2, 2, 2], script)
    assert Job(made.folder, 0).run() == 1


def test_a_signal_with_nothing_left_is_no_reason_to_run_again(monkeypatch):
    monkeypatch.setattr(commands, "requeue", None)  # not called
    made = submission("a", (work(0),))
    ends_with(monkeypatch, [0])
    real = Job._judge

    def judge(self, each):
        signal.raise_signal(signal.SIGUSR2)
        real(self, each)

    monkeypatch.setattr(Job, "_judge", judge)
    with signals_noted():
        assert Job(made.folder, 0).run() == 0
    assert made.notes(0).left == "done"


# -- several processes ---------------------------------------------------------------------------


def as_rank(monkeypatch, rank):
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setenv("SLURM_PROCID", str(rank))


@pytest.mark.parametrize(
    ("on_sigterm", "seconds", "code"),
    [(f"raise SystemExit({EXIT_CODE})", 60, EXIT_CODE), ("pass", 0.1, -signal.SIGKILL)],
)
def test_a_process_that_fails_ends_the_others(monkeypatch, capsys, on_sigterm, seconds, code):
    """Rank 1 ends at once; rank 0 would wait for it, and leaves at a signal or hangs for ever."""
    made = submission("a", (work(0, ("train",)),))
    ends_with(monkeypatch, [2], "print('no module'); raise SystemExit({})")
    as_rank(monkeypatch, 1)
    assert Job(made.folder, 0).run() == 0
    as_rank(monkeypatch, 0)
    monkeypatch.setattr(job, "PEER_SECONDS", seconds)
    ready = made.folder / "ready"  # the child has its handler, and may be told to end
    script = f"import signal, time\ndef end(*_):\n {on_sigterm}\nsignal.signal(15, end)\n"
    script += f"open({str(ready)!r}, 'w').close()\n"
    ends_with(monkeypatch, [100], script + "time.sleep({})")
    real = Job._said_by_peer
    monkeypatch.setattr(
        Job, "_said_by_peer", lambda self, of: real(self, of) if ready.exists() else None
    )
    assert Job(made.folder, 0).run() == 1
    assert read_record(work(0).run.record_path).reason == "process 1: no module"
    assert f"ended with code {code}\n" in capsys.readouterr().out


def lost(monkeypatch):
    """A run that says, and records, that the other process is gone."""
    ends_with(monkeypatch, [1], "raise SystemExit({})")
    record = Record("toy/ns_gan", "gaussian_ring", "ab-r1-s0", 0, "failed")
    record.reason = "rank 1 has not answered for 60 s"
    record.write(work(0).run.record_path)
    monkeypatch.setattr(job, "PEER_SECONDS", 0.1)


def test_a_process_that_is_lost_is_no_failure_of_the_run(monkeypatch):
    monkeypatch.setattr(commands, "job_info", lambda name: JobInfo("RUNNING", 0, True, True, 9999))
    monkeypatch.setattr(commands, "requeue", lambda name: None)
    made = submission("a", (work(0, ("train",)),))
    as_rank(monkeypatch, 0)
    lost(monkeypatch)
    assert Job(made.folder, 0).run() == 0
    assert made.notes(0).ended == {}
    found = read_record(work(0).run.record_path)
    assert (found.status, found.reason) == ("interrupted", "a process of its job was lost")


def test_a_process_that_failed_is_the_reason(monkeypatch):
    made = submission("a", (work(0, ("train",)),))
    as_rank(monkeypatch, 1)
    ends_with(monkeypatch, [-9], "import os; os.kill(os.getpid(), -({}))")
    assert Job(made.folder, 0).run() == 0
    as_rank(monkeypatch, 0)
    lost(monkeypatch)
    assert Job(made.folder, 0).run() == 1
    found = read_record(work(0).run.record_path)
    assert (found.status, found.reason) == (
        "failed",
        "process 1: out of memory, it seems: killed by SIGKILL",
    )


def test_images_are_the_work_of_the_first_process(monkeypatch):
    made = submission("a", (work(0, ("evaluate", "images=train")),))
    ends_with(monkeypatch, [0])
    as_rank(monkeypatch, 1)
    assert Job(made.folder, 0).run() == 0
    as_rank(monkeypatch, 0)
    assert Job(made.folder, 0).run() == 0
    assert made.notes(0).left == "done"


def test_why(monkeypatch):
    work(0).run.folder.mkdir(parents=True)
    log = work(0).run.folder / "run.log"
    log.write_text("a\ndgmbench: data set x is missing\n\n")
    assert why(work(0), 2) == "data set x is missing"
    assert why(work(0), -9) == "out of memory, it seems: killed by SIGKILL"
    assert why(work(0), -11) == "killed by SIGSEGV"
    monkeypatch.setattr(outcome, "_ran_out_of_memory", lambda: True)
    assert why(work(0), -9) == "out of memory: killed by SIGKILL"


def test_a_record_that_says_why_stays():
    path = work(0).run.record_path
    Record("toy/ns_gan", "gaussian_ring", "ab-r1-s0", 0, "failed", "its own words").write(path)
    write_failure(work(0), "other words")
    assert read_record(path).reason == "its own words"
    Record("toy/ns_gan", "gaussian_ring", "ab-r1-s0", 0, "interrupted", "started").write(path)
    with work(0).run.locked():  # another process is at it
        write_failure(work(0), "other words")
    assert read_record(path).status == "interrupted"
    write_failure(work(0), "other words")
    assert read_record(path).reason == "other words"


def test_gpus_are_dealt_out(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert [job._gpu_of(slot, 3).get("CUDA_VISIBLE_DEVICES") for slot in range(3)] == [
        "2",
        "5",
        "2",
    ]
    assert job._gpu_of(0, 1) == {}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    assert job._gpu_of(1, 3) == {}
