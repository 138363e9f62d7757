"""Prefetch: once, checked, and never half a file."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.evaluation import prefetch as module
from datamodules import prepared
from datamodules.prepared import PreparedImages


def arrays(level=3):
    images, labels = np.full((4, 8, 8), level, np.uint8), np.arange(4)
    return {f"{s}_{k}": v for s in ("train", "test") for k, v in
            (("images", images), ("labels", labels))}  # fmt: skip


def data(folder, **settings):
    values = {"name": "mine", "image_shape": [1, 8, 8], "num_levels": 256, "num_classes": 4}
    return PreparedImages(**values, validation_size=0, source="Mine", root=str(folder), **settings)


@pytest.fixture
def downloads(monkeypatch):
    """Downloads that give tiny arrays, and a list of what was asked for."""
    calls = []

    def download(source, folder):
        calls.append((source, folder.name))
        return arrays()

    monkeypatch.setattr(prepared, "download_with_torchvision", download)
    return calls


def test_it_is_made_once(tmp_path, downloads):
    assert module._fetch(data(tmp_path)).startswith("prepared, no pinned fingerprint")
    assert module._fetch(data(tmp_path)).startswith("is there")
    assert downloads == [("Mine", "torchvision")]
    assert [p.name for p in tmp_path.iterdir()] == ["mine.npz"]
    found = data(tmp_path)
    found.setup()
    pinned = data(tmp_path, fingerprint=found.found_fingerprint)
    assert "fingerprint verified" in module._fetch(pinned)


@pytest.mark.usefixtures("downloads")
def test_a_wrong_fingerprint_is_an_error(tmp_path):
    with pytest.raises(module.UserError, match="fingerprint of mine must be abc, got"):
        module._fetch(data(tmp_path, fingerprint="abc"))


def test_a_failed_download_leaves_nothing(tmp_path, monkeypatch):
    def download(source, folder):
        raise RuntimeError("no\nnetwork")

    monkeypatch.setattr(prepared, "download_with_torchvision", download)
    with pytest.raises(module.UserError, match="download of mine failed: no network"):
        module._fetch(data(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("downloads")
def test_the_verb_names_what_it_knows(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DGMBENCH_DATA", str(tmp_path))
    assert main(["prefetch", "mnst"]) == 2
    assert "'mnst' cannot be prefetched; did you mean mnist" in capsys.readouterr().err
    assert main(["prefetch", "mnist"]) == 2  # not the real MNIST
    assert "train examples must have shape (1, 28, 28)" in capsys.readouterr().err


def test_two_at_once_make_it_once(tmp_path, monkeypatch):
    """The second waits for the first, and finds the file."""
    calls = []

    def slow(source, folder):
        calls.append(source)
        time.sleep(0.3)
        return arrays()

    monkeypatch.setattr(prepared, "download_with_torchvision", slow)
    monkeypatch.setattr(module, "_prepared", lambda name: data(tmp_path))
    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(module.prefetch, [["mine"], ["mine"]]))
    assert codes == [0, 0]
    assert calls == ["Mine"]


def test_weights_that_are_there_are_verified(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DGMBENCH_DATA", str(tmp_path))
    (tmp_path / "inception-2015-12-05.pth").write_bytes(b"something else")
    assert main(["prefetch", "inception_2015"]) == 2
    assert "must have SHA-256 6726825d" in capsys.readouterr().err


def test_absent_data_name_the_command(tmp_path):
    with pytest.raises(ValueError, match="data set mine is missing: run `dgmbench prefetch mine`"):
        data(tmp_path).setup()
