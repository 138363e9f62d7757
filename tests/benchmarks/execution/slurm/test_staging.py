"""Data on a disk of the node."""

import os

import pytest

from benchmarks.execution.slurm.staging import stage


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """The data folder that all nodes see."""
    folder = tmp_path / "shared"
    (folder / "celeba").mkdir(parents=True)
    (folder / "mnist.npz").write_text("digits")
    (folder / "celeba/train.npy").write_text("faces")
    (folder / "weights.pth").write_text("weights")
    monkeypatch.setenv("DGMBENCH_DATA", str(folder))
    return folder


def test_wanted_files_are_copied_and_others_linked(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("NODE_DISK", str(tmp_path / "node"))
    names = ["mnist.npz", "celeba", "absent.npz"]
    found = stage("$NODE_DISK", names)
    local = tmp_path / "node/dgmbench"
    assert found == {"DGMBENCH_DATA": str(local)}
    assert not (local / "mnist.npz").is_symlink()
    assert (local / "celeba/train.npy").read_text() == "faces"
    assert (local / "weights.pth").is_symlink()
    assert not (local / "absent.npz").exists()
    before = (local / "mnist.npz").stat().st_ino
    stage("$NODE_DISK", ["mnist.npz", "weights.pth"])
    assert (local / "mnist.npz").stat().st_ino == before  # there already
    assert not (local / "weights.pth").is_symlink()
    (shared / "mnist.npz").write_text("other digits")
    stage("$NODE_DISK", names)
    assert (local / "mnist.npz").read_text() == "other digits"


def test_without_a_target_nothing_is_copied(shared):
    assert stage(None, ["mnist.npz"]) == {}


@pytest.mark.parametrize("target", ["$NOT_SET_ANYWHERE", "/proc/nowhere"])
def test_a_disk_that_refuses_is_told(shared, target, capsys):
    os.environ.pop("NOT_SET_ANYWHERE", None)
    assert stage(target, ["mnist.npz"]) == {}
    assert f"data are read from {shared}, not copied" in capsys.readouterr().out
