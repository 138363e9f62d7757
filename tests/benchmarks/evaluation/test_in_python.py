"""A run's model and a score, in Python; and the same score by the command line."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import benchmarks
from benchmarks import load_run, score
from benchmarks.__main__ import main
from benchmarks.runs.folder import Run
from benchmarks.runs.record import read_record
from benchmarks.training.train import train
from tests.helpers import tiny_run


def images(seed, count=90, shape=(28, 28)):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def test_the_package_is_cheap_to_import_and_names_what_it_has():
    code = "import sys, benchmarks; sys.exit('torch' in sys.modules or 'hydra' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="has no attribute 'scores'"):
        _ = benchmarks.scores


@pytest.mark.parametrize("experiment", ["lucic2018/ns_gan_quick", "oord2016/pixelcnn_quick"])
def test_a_run_is_opened_and_samples(experiment, outputs):
    composed = tiny_run(experiment)
    record, folder = train(composed, bar=False), Run.of(composed).folder
    run = load_run(folder)
    assert not run.model.training
    assert run.images_seen == record.counters["images_seen"]
    assert (run.record, run.config.seed) == (record, 0)
    torch.manual_seed(0)
    first, second = run.model.sample(4), run.model.sample(4)
    torch.manual_seed(0)
    assert torch.equal(run.model.sample(4), first)
    assert not torch.equal(first, second)
    assert first.shape == (4, *run.config.datamodule.image_shape)
    assert not first.requires_grad
    with pytest.raises(ValueError, match="checkpoint must be one of last, got '7'"):
        load_run(folder, checkpoint="7")
    with pytest.raises(ValueError, match="weights must be raw"):
        load_run(folder, weights="ema")


def test_what_is_no_run_is_told_in_one_line(tmp_path):
    with pytest.raises(ValueError, match="RUN must be a run's folder .* got"):
        load_run(tmp_path)


def test_arrays_of_every_layout_folders_and_files_give_one_score(tmp_path, outputs, capsys):
    a, b = images(0), images(1)
    for name, array in (("a", a), ("b", b)):
        (tmp_path / name).mkdir()
        for i, image in enumerate(array):
            Image.fromarray(image).save(tmp_path / name / f"{i:03}.png")
        np.savez(tmp_path / f"{name}.npz", images=array)
    name = "fd_lenet_90_test90"
    found = score(a, against=b, protocol=name)
    assert list(found) == ["fd_lenet", "lenet_score"]
    assert found.protocol == name
    assert repr(found).startswith("fd_lenet_90_test90: {'fd_lenet': ")
    assert score(a, against=b).protocol == name  # what fits all of them
    floats = torch.from_numpy(a[:, None] / 255)
    assert score(a[..., None], against=torch.from_numpy(b[:, None]), protocol=name) == found
    assert score(tmp_path / "a", against=str(tmp_path / "b.npz"), protocol=name) == found
    unrounded = score(floats, against=b, protocol=name, value_range=(0, 1))
    assert unrounded == pytest.approx(found, rel=1e-4)  # float64 pixels become float32
    assert list(tmp_path.glob("outputs*")) == []
    capsys.readouterr()
    where = f"images={tmp_path / 'a'}", f"against={tmp_path / 'b'}"
    assert main(["evaluate", *where]) == 0
    [path] = Path(outputs).rglob("record.json")
    record = read_record(path)
    assert record is not None
    assert record.dataset == "b"
    assert record.evaluations[0].metrics == pytest.approx(found, rel=1e-9)
    assert capsys.readouterr().out.startswith(f"{name} [images, raw]: fd_lenet ")


@pytest.mark.parametrize(
    ("a", "b", "settings", "message"),
    [
        (images(0), images(1), {"protocol": "fd_lenet_2k_test2k"}, "needs 2000 images .* got 90"),
        (images(0, 50), images(1, 50), {}, "no protocol fits these images .* more than 64"),
        (images(0), images(1, 90, (32, 32)), {}, "both sides must have one shape"),
        (images(0, 90, (3, 8, 3)), images(1), {}, "channels either second"),
        (images(0) / 255, images(1), {}, "images must state its range: its float64 values"),
        (images(0), images(1), {"protocol": "nll_test"}, "must compare samples with real images"),
        (images(0), images(1), {"protocol": "fd_lenet_2k"}, "'fd_lenet_2k' does not exist"),
        (images(0).astype(int), images(1), {}, "images must hold uint8 or float"),
        ("nowhere", images(1), {}, "must be a folder of images, or an npz, got 'nowhere'"),
    ],
)
def test_mistakes_are_one_line(a, b, settings, message, tmp_path, monkeypatch):
    monkeypatch.setenv("DGMBENCH_DATA", str(tmp_path))  # without Inception
    with pytest.raises(ValueError, match=message) as error:
        score(a, against=b, **settings)
    assert "\n" not in str(error.value)
