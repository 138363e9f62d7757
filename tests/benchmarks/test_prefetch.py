"""Prefetch: once, checked, and never half a file."""

import numpy as np
import pytest

from benchmarks import prefetch as module
from benchmarks.__main__ import main
from datamodules.prepared import PreparedImages


def arrays(level=3):
    images, labels = np.full((4, 8, 8), level, np.uint8), np.arange(4)
    return {f"{s}_{k}": v for s in ("train", "test") for k, v in
            (("images", images), ("labels", labels))}  # fmt: skip


def data(folder, **settings):
    values = {"name": "mine", "image_shape": [1, 8, 8], "num_levels": 256, "num_classes": 4}
    return PreparedImages(**values, validation_size=0, source="Mine", root=str(folder), **settings)


def test_it_is_made_once(tmp_path):
    calls = []

    def download(source, folder):
        calls.append((source, folder.name))
        return arrays()

    assert module._fetch(data(tmp_path), download).startswith("prepared, no pinned fingerprint")
    assert module._fetch(data(tmp_path), download).startswith("is there")
    assert calls == [("Mine", "torchvision")]
    assert [p.name for p in tmp_path.iterdir()] == ["mine.npz"]
    found = data(tmp_path)
    found.setup()
    pinned = data(tmp_path, fingerprint=found.found_fingerprint)
    assert "fingerprint verified" in module._fetch(pinned, download)


def test_a_wrong_fingerprint_is_an_error(tmp_path):
    with pytest.raises(module.UserError, match="fingerprint of mine must be abc, got"):
        module._fetch(data(tmp_path, fingerprint="abc"), lambda *_: arrays())


def test_a_failed_download_leaves_nothing(tmp_path):
    def download(source, folder):
        raise RuntimeError("no\nnetwork")

    with pytest.raises(module.UserError, match="download of mine failed: no network"):
        module._fetch(data(tmp_path), download)
    assert not list(tmp_path.iterdir())


def test_the_verb_names_what_it_knows(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DGMBENCH_DATA", str(tmp_path))
    assert main(["prefetch", "mnst"]) == 2
    assert "data set 'mnst' cannot be prefetched; did you mean mnist?" in capsys.readouterr().err
    monkeypatch.setattr(module, "download_with_torchvision", lambda *_: arrays())
    assert main(["prefetch", "mnist"]) == 2  # not the real MNIST
    assert "train examples must have shape (1, 28, 28)" in capsys.readouterr().err


def test_absent_data_name_the_command(tmp_path):
    with pytest.raises(ValueError, match="data set mine is missing: run `dgmbench prefetch mine`"):
        data(tmp_path).setup()
