"""Files that are torn, full, read-only, wrong, or wanted by many at once."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
import torch

from benchmarks.runs.lock import Owner
from tests.reliability.jobs import (
    Job,
    assert_same_run,
    checkpoints,
    command,
    folder,
    record,
    run,
)

pytestmark = pytest.mark.slow
LONGER = command(steps=400)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was never touched."""
    space = tmp_path_factory.mktemp("whole")
    assert run(space, LONGER)[0] == 0
    return space


@pytest.fixture
def half(tmp_path):
    """A run that was stopped with two checkpoints."""
    with Job(tmp_path, LONGER) as job:
        assert job.wait_for(lambda: len(checkpoints(tmp_path)) == 2)
        job.send(15)
        assert job.end()[0] == 75
    return tmp_path


def refused(space, *words, arguments=LONGER):
    """Run what must end with one line and code 2, and leave checkpoints and record alone."""
    before = {p: p.read_bytes() for p in (*checkpoints(space), *space.rglob("record.json"))}
    code, said = run(space, arguments)
    assert code == 2, said
    assert said.startswith("dgmbench: ")
    assert said.count("\n") == 1, said
    for word in words:
        assert word in said
    assert before == {p: p.read_bytes() for p in before}


@pytest.mark.parametrize(
    "left",
    [
        pytest.param(
            left,
            marks=pytest.mark.outcome(
                f"the newest checkpoint is {what}",
                "it is named, the one before is used, and the run ends to the bit",
            ),
        )
        for left, what in ((0.5, "torn"), (0, "an empty file"))
    ],
)
def test_a_torn_checkpoint(half, whole, left):
    newest, before = checkpoints(half)
    content = newest.read_bytes()
    newest.write_bytes(content[: int(left * len(content))])
    code, said = run(half, LONGER)
    assert code == 0
    assert f"{newest} is no readable checkpoint" in said
    assert f"going on from {before.name}" in said
    assert_same_run(whole, half)


@pytest.mark.outcome("all checkpoints are torn", "one line that names the newest, exit code 2")
def test_all_are_torn(half):
    for path in checkpoints(half):
        path.write_bytes(b"half")
    refused(half, f"{checkpoints(half)[0]} is no readable checkpoint", "to begin anew")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        pytest.param(
            *values, marks=pytest.mark.outcome(f"a checkpoint of {what}", "one line, exit code 2")
        )
        for what, values in {
            "a newer version": ("schema_version", 9, "schema_version <= 1, got 9"),
            "another run": ("run_id", "x", "got one of run x"),
        }.items()
    ],
)
def test_a_checkpoint_of_something_else(half, key, value, words):
    newest = checkpoints(half)[0]
    torch.save({**torch.load(newest, weights_only=True), key: value}, newest)
    refused(half, words, newest.name)


@pytest.mark.outcome("the record is cut short", "one line that names it, exit code 2")
def test_a_corrupt_record(half):
    path = folder(half) / "record.json"
    path.write_text(path.read_text()[:200])
    refused(half, "record.json: not a record")


@pytest.mark.outcome("the record was edited by hand", "one line that names it, exit code 2")
def test_an_edited_record(half, whole):
    path = folder(half) / "record.json"
    text = path.read_text()
    path.write_text(text.replace('"seed": 0', '"seed": 1', 1))
    assert text != path.read_text()
    refused(half, "record.json: edited by hand or damaged")
    path.unlink()
    assert run(half, LONGER)[0] == 0
    assert_same_run(whole, half)


@contextmanager
def mounted(path, *options):
    """A small file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join(options), "none", str(path)], check=False
    )
    if done.returncode != 0:
        pytest.skip("mounting is not allowed")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.mark.outcome(
    "the disk is full while a checkpoint is written",
    "one line, exit code 2, the checkpoints before it are whole; with room again it ends to the "
    "bit",
)
def test_a_full_disk(tmp_path, whole):
    with mounted(tmp_path / "small", "size=4m") as space:
        with Job(space, LONGER) as job:
            assert job.wait_for(lambda: len(checkpoints(space)) == 2)
            filler = space / "filler"
            with filler.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(4096))
                except OSError:
                    pass
            code, said = job.end()
        assert code == 2, said
        assert "could not be saved" in said
        assert "No space left on device; those before it are untouched" in said
        assert "Traceback" not in said
        for path in checkpoints(space):
            torch.load(path, weights_only=True)
        assert len(checkpoints(space)) == 2
        filler.unlink()
        assert run(space, LONGER)[0] == 0
        assert_same_run(whole, space)


@pytest.mark.outcome("the outputs are mounted read-only", "one line, exit code 2")
def test_a_read_only_mount(tmp_path):
    with mounted(tmp_path / "fixed", "size=1m", "ro") as space:
        code, said = run(space, LONGER)
    assert code == 2
    assert "outputs must be a writable folder (DGMBENCH_OUTPUTS)" in said
    assert said.endswith(": Read-only file system\n")


@pytest.mark.outcome(
    "two processes start the same run", "one works, the other names its owner, exit code 2"
)
def test_two_writers(tmp_path):
    longer = command(steps=4000)
    with Job(tmp_path, longer) as first:
        assert first.wait_for(lambda: list(tmp_path.rglob(".lock")))
        code, said = run(tmp_path, longer)
        assert code == 2
        assert f" is in use by process {first.process.pid} on " in said
        assert said.count("\n") == 1
        assert first.end()[0] == 0


@pytest.mark.outcome("the owner of a run was killed", "the next process takes it at once")
def test_a_dead_owner(tmp_path, whole):
    with Job(tmp_path, LONGER) as first:
        assert first.trains()
        first.send(9)
        first.process.wait()
    assert list(tmp_path.rglob(".lock"))
    assert run(tmp_path, LONGER)[0] == 0
    assert_same_run(whole, tmp_path)


@pytest.mark.outcome(
    "the owner died on another machine, and the clock moved back an hour since",
    "the next process watches for its beats, then takes the run",
)
def test_a_dead_owner_elsewhere(half, whole, seen):
    lock = folder(half) / ".lock"
    owner = dataclasses.replace(Owner.myself(), host="node7", place="node7 boot pid", pid=1)
    lock.write_text(json.dumps(dataclasses.asdict(owner)))
    os.utime(lock, (time.time() + 3600,) * 2)
    began = time.monotonic()
    assert run(half, LONGER)[0] == 0
    assert_same_run(whole, half)
    seen(f"ended after {time.monotonic() - began:.0f} s")


@pytest.mark.outcome("a finished run is started again", "it says so and does nothing")
def test_started_again(half):
    assert run(half, LONGER)[0] == 0
    before = {p: p.stat().st_mtime_ns for p in half.rglob("*") if p.is_file()}
    code, said = run(half, LONGER)
    assert (code, said.split(":")[0]) == (0, "finished before; nothing to do")
    assert before == {p: p.stat().st_mtime_ns for p in half.rglob("*") if p.is_file()}


MANY = """
import os
import sys
import traceback
from pathlib import Path

import numpy as np
import torch

from benchmarks.evaluation import prefetch
from benchmarks.evaluation.features.base import Features
from benchmarks.evaluation.features.cache import FeatureCache
from benchmarks.runs.lock import held
from benchmarks.runs.record import Evaluation, read_record
from datamodules import prepared
from datamodules.prepared import PreparedImages

space = Path(sys.argv[1])
torch.set_num_threads(1)


def write(number):
    cache = FeatureCache(space / "cache", "pixels", ["made up"])
    for round in range(3):
        with held(space / ".lock", wait=True):  # what evaluate does with a run
            record = read_record(space / "record.json")
            record.add(Evaluation("p", f"f{number}-{round}", "last", "raw", 0, {"m": number}))
            record.write(space / "record.json")
        if not cache.path("test", 100, round).exists():
            cache.save(Features(torch.full((100, 64), float(round))), "test", 100, round)
        assert (cache.load("test", 100, round).pooled == round).all()


def download(source, folder):
    with (space / "downloads").open("a") as file:
        file.write("x")
    images = np.random.default_rng(0).integers(0, 256, (500, 8, 8), dtype=np.uint8)
    return {f"{s}_{k}": v for s in ("train", "test")
            for k, v in (("images", images), ("labels", np.arange(500) % 4))}


prepared.download_with_torchvision = download
spec = {"name": "mine", "image_shape": [1, 8, 8], "num_levels": 256, "num_classes": 4}
data = PreparedImages("Mine", str(space / "data"), validation_size=0, **spec)
prefetch._prepared = lambda name: data
begin, go = os.pipe()
for i in range(64):
    if os.fork() == 0:
        os.close(go)
        os.read(begin, 1)  # until all are there
        try:
            write(i // 2) if i % 2 else prefetch.prefetch(["mine"])
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
os.close(go)
sys.exit(sum(os.wait()[1] != 0 for _ in range(64)))
"""


@pytest.mark.outcome(
    "64 processes write a record, fill the cache of features, and prefetch at once",
    "nothing is lost or torn; one download",
)
def test_many_at_once(tmp_path, whole, seen):
    record(whole).write(tmp_path / "record.json")
    code, said = run(tmp_path, [sys.executable, "-c", MANY, str(tmp_path)])
    assert code == 0, said
    kept = {e.fingerprint for e in record(tmp_path).evaluations}
    assert {f"f{i}-{r}" for i in range(32) for r in range(3)} <= kept
    assert (tmp_path / "downloads").read_text() == "x"
    names = {p.name for p in (tmp_path / "data").iterdir()}
    assert names == {"mine.npz"}
    assert not [p for p in tmp_path.rglob("*") if "part" in p.name or "lock" in p.name]
    seen("96 of 96 evaluations, 1 download")
