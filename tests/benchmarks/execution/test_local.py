"""Runs side by side on this machine: what is started, said, and left after a signal."""

import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.core.environment import LOOKED_AFTER
from benchmarks.core.errors import UserError
from benchmarks.core.parent import PARENT
from benchmarks.execution import local
from benchmarks.execution.local import (
    STARTUP_SECONDS,
    Display,
    LocalExecutor,
    RunProcess,
    default_jobs,
    run_all,
)
from benchmarks.runs.record import Evaluation
from benchmarks.tables.spec import load_spec
from lit_models.training.interruption import EXIT_CODE, Interrupted, signals_noted
from tests.benchmarks.tables.helpers import put


def log_of(planned):
    return (planned.run.folder / "run.log").read_text()


@pytest.mark.parametrize("jobs", [0, -1])
def test_at_least_one_run_at_a_time(jobs):
    with pytest.raises(UserError, match=f"jobs must be >= 1, got {jobs}"):
        LocalExecutor([], jobs)


def test_a_run_per_core_or_one_that_has_the_gpus(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 5})
    assert default_jobs(load_spec("quick"), ["trainer=cpu"]) == 3
    assert default_jobs(load_spec("quick"), ["trainer=gpu"]) == 1
    assert default_jobs(load_spec("real_images"), []) == 3  # nothing is trained


def test_an_executor_runs_the_command_of_each_run(mini, python, capsys):
    about = f"{LOOKED_AFTER}=${LOOKED_AFTER} {PARENT}=${PARENT}"
    python(f'echo "$@ {about}"; readlink /proc/$$/fd/0')
    one, other, *_ = mini.runs
    one.run.folder.mkdir(parents=True)
    (one.run.folder / "run.log").write_text("of an earlier try\n")
    one.run.progress_path.write_text('{"images_seen": 5, "budget_images": 10}')
    failed = LocalExecutor(["threads=2"], 1).run([one, other], {})
    expected = (
        f"-m benchmarks {' '.join(one.command(['threads=2']))} {LOOKED_AFTER}=1 "
        f"{PARENT}={os.getpid()}\n/dev/null\n"
    )
    assert log_of(one) == "of an earlier try\n" + expected
    assert "seed=1" in log_of(other)
    assert not one.run.progress_path.exists()  # of the earlier try
    assert len(failed) == 2  # they left no record
    assert "[2/2] A digits s1 failed: /dev/null (" in capsys.readouterr().out


def test_no_more_run_at_once_than_asked(mini, python, tmp_path):
    """The first two wait for each other, five seconds at most."""
    log = tmp_path / "log"
    python(
        f"echo +1 >> {log}\nfor i in $(seq 500); do\n"
        f"  [ $(grep -c + {log}) -ge 2 ] && break; sleep 0.01\ndone\n"
        f"sleep 0.05; echo -1 >> {log}"
    )
    run_all(mini.runs, [], 2)
    steps = [int(line) for line in log.read_text().split()]
    at_once = [sum(steps[: i + 1]) for i in range(len(steps))]
    assert len(steps) == 2 * len(mini.runs)
    assert (max(at_once), at_once[-1]) == (2, 0)


def test_scores_are_said_and_a_bound_is_marked(mini, python, capsys):
    python("exit 0")
    run = mini.runs[0]
    record = put(run, 1.23456789, attributes={"likelihood": "elbo"})
    more = Evaluation("other", "f", "last", "raw", 64, {"bits_per_dim": 2.0, "x": None, "y": 3.0})
    record.add(more)
    record.write(run.run.record_path)
    assert run_all([run], [], 1) == []
    said = capsys.readouterr().out
    assert "[1/1] A digits s0: bits_per_dim ≤ 1.2346, other bits_per_dim 2, y 3 (" in said


@pytest.mark.parametrize(
    ("status", "script", "message"),
    [
        (None, "echo first; echo out of luck; echo; exit 1", "failed: out of luck (LOG)"),
        (None, "exit 1", "failed: no output (LOG)"),
        (None, f"exit {EXIT_CODE}", "was stopped by a signal; the same command continues"),
        ("failed", "echo last; exit 1", "failed: why (LOG)"),
        ("interrupted", "echo killed; exit 1", "failed: killed (LOG)"),
        ("unscored", "echo not scored", "failed: not scored (LOG)"),
        ("damaged", "exit 0", "failed: RECORD: not a record: "),
    ],
)
def test_a_run_that_left_no_result_is_named_with_why(
    mini, python, capsys, status, script, message
):
    python(script)
    run = mini.runs[0]
    if status is not None:
        record = put(run, status=status if status in ("failed", "interrupted") else "finished")
        if status == "unscored":
            record.evaluations = []
            record.write(run.run.record_path)
        elif status == "damaged":
            run.run.record_path.write_text("{")
    (failed,) = run_all([run], [], 1)
    message = message.replace("LOG", str(run.run.folder / "run.log"))
    assert failed.startswith(f"A digits s0 {message.replace('RECORD', str(run.run.record_path))}")
    assert f"[1/1] {failed}\n" in capsys.readouterr().out


def test_a_run_that_diverged_is_a_result(mini, python, capsys):
    python("exit 0")
    put(mini.runs[0], status="diverged")
    assert run_all(mini.runs[:1], [], 1) == []
    assert "[1/1] A digits s0: diverged: why (" in capsys.readouterr().out


def test_a_signal_ends_all_and_leaves_none_behind(mini, python, tmp_path):
    """The second run asks for the end; the first is at work, and the others never begin."""
    python(
        f'echo $$ >> {tmp_path}/pids\n[ "$(wc -l < {tmp_path}/pids)" = 2 ] && kill -TERM $PPID\n'
        "exec sleep 60"
    )
    began = time.monotonic()
    with signals_noted(), pytest.raises(Interrupted, match="SIGTERM"):
        run_all(mini.runs, [], 2)
    assert time.monotonic() - began < 30
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


# -- what is shown meanwhile ---------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still, at 100 s, until it is set."""
    found = SimpleNamespace(now=100.0)
    monkeypatch.setattr(local.time, "monotonic", lambda: found.now)
    return found


def at_work(planned, began, images_seen=None, seconds_left=None):
    """Return a run that a process has worked on since a time, and what it reports."""
    planned.run.folder.mkdir(parents=True, exist_ok=True)
    if images_seen is not None:
        values = {"images_seen": images_seen, "budget_images": 100, "seconds_left": seconds_left}
        planned.run.progress_path.write_text(json.dumps(values))
    return RunProcess(planned, None, None, began)


def shown(capsys, running, waiting=(), rates=None, jobs=1):
    """Return the last line of what is shown."""
    display = Display(4)
    display.show(running, waiting, rates or {}, jobs)
    return capsys.readouterr().out.rstrip("\n")


@pytest.fixture
def always(monkeypatch):
    """Say how it goes at every look, not now and then."""
    monkeypatch.setattr(local, "LINE_EVERY_SECONDS", 0.0)


@pytest.mark.usefixtures("always", "clock")
def test_time_left_is_not_known_before_anything_was_measured(mini, capsys):
    running = [at_work(mini.runs[0], 90.0)]
    assert shown(capsys, running, mini.runs[1:]) == (
        "[0/4] A digits s0 0% | time left: not known yet"
    )


@pytest.mark.usefixtures("always", "clock")
def test_time_left_counts_what_waits_by_what_its_kind_costs(mini, capsys):
    a0, a1, b0, _ = mini.runs
    assert b0.images_seen == 0  # it is not trained
    running = [at_work(a0, 90.0, images_seen=25, seconds_left=30.0)]  # 40 s in all
    line = "[0/4] A digits s0 25% 0:30 | about {} left"
    assert shown(capsys, running) == line.format("0:30")
    assert STARTUP_SECONDS == 6
    assert shown(capsys, running, [a1]) == line.format("1:16")  # 30 + 6 + 40
    assert shown(capsys, running, [a1, b0]) == line.format("1:22")  # and 6
    assert shown(capsys, running, [a1], jobs=2) == line.format("0:38")
    assert shown(capsys, running, [b0], jobs=4) == line.format("0:30")  # as long as the longest
    known = {(a0.experiment, a0.dataset): 0.0}  # what runs now counts for more
    assert shown(capsys, running, [a1], known) == line.format("1:16")


@pytest.mark.usefixtures("always", "clock")
def test_a_kind_that_was_never_measured_costs_the_mean_of_the_others(mini, capsys):
    a0, a1, *_ = mini.runs
    rates = {("x", "d"): 10 / a0.images_seen, ("y", "d"): 30 / a0.images_seen}
    running = [at_work(a0, 90.0)]  # which reports nothing yet
    assert shown(capsys, running, [a1], rates).endswith("about 0:52 left")  # twice 6 + 20


@pytest.mark.usefixtures("clock")
def test_a_log_is_not_flooded(mini, clock, capsys):
    display, running = Display(2), [at_work(mini.runs[0], 90.0)]
    said = []
    for clock.now in (101.0, 114.0, 115.5, 116.0, 131.0):
        display.show(running, [], {}, 1)
        said.append(capsys.readouterr().out.count("\n"))
    assert said == [0, 0, 1, 0, 1]
    clock.now = 200.0
    display.show([], [], {}, 1)  # nothing runs
    display.clear()
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("clock")
def test_a_terminal_has_one_line_that_is_drawn_again(mini, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(os, "get_terminal_size", lambda: os.terminal_size((30, 10)))
    display = Display(4)
    display.ended("A digits s1 failed: x", 1)
    capsys.readouterr()
    display.show([at_work(mini.runs[0], 90.0)], [], {}, 1)
    assert capsys.readouterr().out == "\r\x1b[K" + "[1/4, 1 failed] A digits s0 0%"[:29]
    display.ended("A digits s0: done", 1)
    assert capsys.readouterr().out == "\r\x1b[K[2/4] A digits s0: done\n"


def test_a_run_that_another_process_is_at_is_waited_for(mini, python, capsys):
    one, other, *_ = mini.runs
    told = set()
    one.run.folder.mkdir(parents=True)
    with one.run.locked():
        assert local._next([one, other], told) is other
        assert local._next([one], told) is None
        said = capsys.readouterr().out
    assert said == f"A digits s0 is at work elsewhere, waited for: {said.partition('for: ')[2]}"
    assert f"process {os.getpid()} on " in said
    assert local._next([one], told) is one


def test_a_run_that_another_process_was_quicker_with_is_no_failure(
    mini, python, monkeypatch, capsys
):
    """It is begun, found in use, waited for, and begun again."""
    python("echo begun")
    answers = iter([False, True, True, True, False, False])
    monkeypatch.setattr(local, "is_held", lambda run: next(answers))
    failed = run_all(mini.runs[:1], [], 1)
    assert log_of(mini.runs[0]) == "begun\nbegun\n"
    assert len(failed) == 1  # of the second, which left no record
    assert capsys.readouterr().out.count("[1/1]") == 1
