"""`dgmbench export`: weights, config and samples for others."""

import json

import numpy as np
import pytest
import torch
import yaml
from omegaconf import OmegaConf
from safetensors import safe_open
from safetensors.torch import load_file

from benchmarks.__main__ import main
from benchmarks.config.instantiate import instantiate
from benchmarks.evaluation.export import CHUNK, SEED, export
from benchmarks.evaluation.sources import ModelSource, finite_samples
from benchmarks.runs.folder import Run
from benchmarks.runs.record import read_record
from benchmarks.training.train import train
from tests.helpers import tiny_run


def test_an_export_samples_as_the_run_does(outputs, capsys):
    composed = tiny_run("lucic2018/vae_quick", steps=2)
    train(composed, bar=False)
    run = Run.of(composed)
    assert main(["export", str(run.folder), "--samples", "7"]) == 0
    folder = run.folder / "export"
    assert capsys.readouterr().out.strip() == str(folder)
    images = np.load(folder / "samples.npz")["images"]
    assert (images.shape, images.dtype) == ((7, 28, 28, 1), np.uint8)
    config = json.loads((folder / "config.json").read_text())
    model = instantiate(OmegaConf.create(config["model"]), "model")
    model.load_state_dict(load_file(folder / "model.safetensors"))
    model.eval()
    with torch.no_grad():
        assert model.sample(3, torch.Generator().manual_seed(0)).shape == (3, 1, 28, 28)
    text = (folder / "CITATION.cff").read_text()
    assert "seed 0; dgmbench 0.1.0, commit" in text
    assert main(["export", str(run.folder), "--samples", "-1"]) == 2
    assert "samples must be >= 0, got -1" in capsys.readouterr().err


def test_an_autoencoder_exports_its_weights_only(outputs, capsys):
    composed = tiny_run("vincent2010/autoencoder_quick", steps=2)
    train(composed, bar=False)
    run = Run.of(composed)
    assert main(["export", str(run.folder)]) == 2
    assert "samples must be 0 for Autoencoder" in capsys.readouterr().err
    assert main(["export", str(run.folder), "--samples", "0"]) == 0
    assert not (run.folder / "export" / "samples.npz").exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run on points, with a snapshot at 16 images and averaged weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DGMBENCH_OUTPUTS", str(tmp_path_factory.mktemp("finished")))
        composed = tiny_run("toy/ns_gan", ["model.generator.ema_decay=0.5", "weights=ema"])
        composed.cfg.snapshot_every_images = 16
        train(composed, bar=False)
        return Run.of(composed)


def loaded(folder):
    """Return the model of an export, as `config.json` says how to make it.

    What only training needs, such as a discriminator, is not exported.
    """
    config = json.loads((folder / "config.json").read_text())
    model = instantiate(OmegaConf.create(config["model"]), "model")
    state = load_file(folder / "model.safetensors")
    assert model.load_state_dict(state, strict=False).unexpected_keys == []
    model.weights = config["weights"]
    return config, model


def test_the_exported_model_draws_the_exported_samples(finished, tmp_path):
    """Points are floats as they are; how many are drawn does not change the first."""
    assert export(finished.folder, 150, target=tmp_path / "x") == tmp_path / "x"
    config, model = loaded(tmp_path / "x")
    points = np.load(tmp_path / "x" / "samples.npz")["images"]
    assert (points.shape, points.dtype) == ((150, 2), np.float32)
    chunks = finite_samples(ModelSource(model), 150, CHUNK, SEED, "x")
    torch.testing.assert_close(
        torch.from_numpy(points), torch.cat([x for _, x in chunks]), rtol=0, atol=0
    )
    export(finished.folder, 110, target=tmp_path / "y")
    fewer = np.load(tmp_path / "y" / "samples.npz")["images"]
    assert np.array_equal(fewer[:CHUNK], points[:CHUNK])
    assert config["weights"] == "ema"
    model.weights = "raw"
    assert not np.array_equal(
        next(finite_samples(ModelSource(model), 9, 9, 0, "x"))[1], points[:9]
    )


def test_a_snapshot_is_exported_under_its_own_number(finished, tmp_path, capsys):
    for checkpoint in ("last", "16"):
        arguments = ["--samples", "0", "--output", str(tmp_path / checkpoint)]
        assert main(["export", str(finished.folder), "--checkpoint", checkpoint, *arguments]) == 0
        assert capsys.readouterr().out == f"{tmp_path / checkpoint}\n"
    (last, _), (early, _) = loaded(tmp_path / "last"), loaded(tmp_path / "16")
    assert (last["images_seen"], early["images_seen"]) == (32, 16)
    states = [load_file(tmp_path / c / "model.safetensors") for c in ("last", "16")]
    assert states[0].keys() == states[1].keys()
    assert not all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    with safe_open(tmp_path / "16" / "model.safetensors", "pt") as file:
        assert file.metadata() == {
            "format": "pt",
            "experiment": "toy/ns_gan",
            "dataset": "gaussian_ring",
            "run_id": finished.id,
            "images_seen": "16",
        }
    assert main(["export", str(finished.folder), "--checkpoint", "17"]) == 2
    assert "checkpoint must be one of last, 16, 32, got '17'" in capsys.readouterr().err


def test_nothing_of_an_earlier_export_is_left_beside_other_weights(finished, tmp_path):
    export(finished.folder, 5, target=tmp_path)
    export(finished.folder, 0, checkpoint="16", target=tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"model.safetensors", "config.json", "record.json", "CITATION.cff"}


def test_the_record_and_whom_to_cite_go_with_it(finished, tmp_path):
    export(finished.folder, 0, target=tmp_path)
    record = read_record(tmp_path / "record.json")
    assert record == finished.record()
    citation = yaml.safe_load((tmp_path / "CITATION.cff").read_text())
    assert citation["title"] == "NS GAN (MLP) on gaussian_ring (toy/ns_gan)"
    assert "trained on gaussian_ring, 32 images seen, seed 0; " in citation["abstract"]
    assert citation["abstract"].endswith(f"run {finished.id}.")
    (reference,) = citation["references"]
    assert reference["title"] == "Goodfellow et al. 2014, arXiv:1406.2661"


def test_what_is_no_run_or_cannot_be_written_is_refused(finished, tmp_path, capsys):
    assert main(["export", str(tmp_path)]) == 2
    assert "RUN must be a run's folder" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["export", str(finished.folder), "--output", str(tmp_path / "file")]) == 2
    assert "outputs must be a writable folder" in capsys.readouterr().err
