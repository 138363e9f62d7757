"""A full disk: one line that names the file, code 2, and what was there before stays whole."""

import errno
import os
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.evaluation.export import export
from benchmarks.runs.folder import Run
from benchmarks.training.train import train
from tests.benchmarks.tables.helpers import put
from tests.helpers import tiny_run

MARKS = "# x\n<!-- table: mini -->\nold\n<!-- end of table: mini -->\nend\n"


@pytest.fixture
def full(monkeypatch):
    """Let the disk be full once so many files were written."""
    sync = os.fsync

    def after(files):
        left = [files]

        def fsync(descriptor):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)

    return after


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


CALLS = [
    ["table", "mini", "--rows", "A", "--seeds", "1", "--jobs", "1"],
    ["report", "mini"],
    ["publish", "mini"],
]


@pytest.mark.parametrize("call", CALLS, ids=lambda c: c[0])
def test_no_output_is_cut_wherever_the_disk_is_full(call, mini, full, tmp_path, capsys):
    put(mini.runs[0], 1.0)
    readme = tmp_path / "README.md"
    readme.write_text(MARKS)
    grid = mini.runs[0].run.samples / "640.png"
    grid.parent.mkdir()
    Image.effect_noise((8, 8), 50).save(grid)
    written = 0
    while True:
        assert written < 30
        before = contents(tmp_path)
        full(written)
        code = main(call)
        said = capsys.readouterr().err
        if code == 0:
            break
        assert code == 2
        assert said.startswith("dgmbench: ")
        assert said.endswith(" cannot be read or written: No space left on device\n")
        assert said.count("\n") == 1
        name = Path(said.removeprefix("dgmbench: ").partition(" cannot be")[0])
        after = contents(tmp_path)
        assert after.get(name.absolute()) == before.get(name.absolute())
        assert not [p for p in after if p.suffix == ".part" or not after[p]]
        assert readme.read_text() == MARKS
        written += 3
    assert written >= (3 if call[0] == "report" else 6)
    assert all(contents(tmp_path).values())


def test_an_export_that_does_not_fit_leaves_the_one_before(outputs, full, capsys):
    composed = tiny_run("toy/ns_gan")
    train(composed, bar=False)
    folder = Run.of(composed).folder
    before = contents(export(folder, 10))
    full(0)
    assert main(["export", str(folder), "--samples", "10"]) == 2
    said = capsys.readouterr().err
    assert "model.safetensors cannot be read or written: No space left on device" in said
    assert said.count("\n") == 1
    assert contents(folder / "export") == before
