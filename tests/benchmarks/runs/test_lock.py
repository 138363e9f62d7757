"""Leases: one owner at a time, whatever became of the last one."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.runs import lock
from benchmarks.runs.lock import HeldError, Owner, held, owner_of

ROOT = Path(__file__).parents[3]


def write(path, owner):
    path.write_text(json.dumps(dataclasses.asdict(owner)))


@pytest.fixture
def elsewhere():
    """An owner on another machine, whose process cannot be seen."""
    return dataclasses.replace(Owner.myself(), host="node7", place="node7 boot pid", pid=1)


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(lock, "WATCH_SECONDS", 0.5)
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(lock, "WRITE_SECONDS", 0.1)


def test_the_owner_is_named_and_lets_go(tmp_path):
    path = tmp_path / "lock"
    with held(path):
        assert owner_of(path).pid == os.getpid()
        with pytest.raises(HeldError, match=f"^process {os.getpid()} on .* since 20"), held(path):
            pass
    assert not path.exists()
    assert list(tmp_path.iterdir()) == []
    with held(path):
        pass


def test_an_owner_that_was_killed_is_followed_at_once(tmp_path, monkeypatch):
    path = tmp_path / "lock"
    code = (
        "import sys, time; from pathlib import Path; from benchmarks.runs.lock import held\n"
        "with held(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    job = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, cwd=ROOT
    )
    job.stdout.readline()
    with pytest.raises(HeldError, match=f"process {job.pid}"), held(path):
        pass
    job.send_signal(signal.SIGKILL)
    job.wait()
    monkeypatch.setattr(lock, "time", None)  # it is not watched
    with held(path):
        assert owner_of(path).pid == os.getpid()


def test_a_process_number_used_again_is_not_the_owner(tmp_path):
    path = tmp_path / "lock"
    write(path, dataclasses.replace(Owner.myself(), born="1"))  # another process had our number
    with held(path):
        assert owner_of(path).born != "1"


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("ago", [3600, -3600], ids=["long ago", "clock moved back"])
def test_a_silent_owner_elsewhere_is_followed(tmp_path, elsewhere, ago):
    path = tmp_path / "lock"
    write(path, elsewhere)
    os.utime(path, (time.time() - ago,) * 2)
    with held(path):
        assert owner_of(path).pid == os.getpid()


@pytest.mark.parametrize("beats", [True, False])
def test_a_clock_that_is_wrong_does_not_kill_a_living_owner(
    tmp_path, elsewhere, monkeypatch, beats
):
    """The beats carry an old time, but they come, ten seconds after the watch began."""
    path, waited = tmp_path / "lock", 0.0
    write(path, elsewhere)
    os.utime(path, (1e9, 1e9))

    def sleep(seconds):
        nonlocal waited
        waited += seconds
        if beats and waited > lock.BEAT_SECONDS:
            os.utime(path, (1e9 + 1, 1e9 + 1))

    clock = SimpleNamespace(monotonic=lambda: waited, sleep=sleep)
    monkeypatch.setattr(lock, "time", clock)
    with pytest.raises(HeldError, match="node7") if beats else nullcontext(), held(path):
        assert owner_of(path).pid == os.getpid()
    assert waited > lock.BEAT_SECONDS


@pytest.mark.usefixtures("soon")
def test_a_file_that_is_not_whole_is_followed(tmp_path):
    path = tmp_path / "lock"
    path.write_text("{")  # its owner died while it wrote
    with held(path):
        assert owner_of(path) is not None


@pytest.mark.usefixtures("soon")
def test_a_new_owner_is_not_removed_for_an_old_one(tmp_path):
    path, old, new = tmp_path / "lock", Owner.myself(), Owner.myself()
    write(path, new)
    lock._remove(path, old)
    assert owner_of(path) == new
    path.with_name("lock.breaking").touch()  # another process looks at it just now
    lock._remove(path, new)
    assert owner_of(path) == new


@pytest.mark.usefixtures("soon")
def test_a_guard_left_behind_is_no_obstacle(tmp_path):
    path = tmp_path / "lock"
    write(path, dataclasses.replace(Owner.myself(), born="1"))
    path.with_name("lock.breaking").touch()
    with held(path):
        assert owner_of(path).pid == os.getpid()


def test_who_loses_a_lease_ends(tmp_path):
    path = tmp_path / "lock"
    code = (
        "import sys, time; from pathlib import Path; from benchmarks.runs import lock\n"
        "lock.BEAT_SECONDS = 0.1\n"
        "with lock.held(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(path)]
    job = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True
    )
    job.stdout.readline()
    path.unlink()
    _, said = job.communicate(timeout=60)
    assert job.returncode == 1
    assert said == f"dgmbench: lost {path} to nobody: it was removed\n"


def test_many_at_once_one_after_the_other(tmp_path):
    """Eight processes add to a file that only the owner may write."""
    code = (
        "import sys, time; from pathlib import Path; from benchmarks.runs.lock import held\n"
        "folder = Path(sys.argv[1])\n"
        "for _ in range(5):\n"
        "    with held(folder / 'lock', wait=True):\n"
        "        file = folder / 'count'\n"
        "        n = int(file.read_text()) if file.exists() else 0\n"
        "        time.sleep(0.002); file.write_text(str(n + 1))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    jobs = [subprocess.Popen(command, cwd=ROOT) for _ in range(8)]
    assert [job.wait(timeout=60) for job in jobs] == [0] * 8
    assert (tmp_path / "count").read_text() == "40"
