"""`dgmbench export`: weights, config and samples for others."""

import json

import numpy as np
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file

from benchmarks.__main__ import main
from benchmarks.config.instantiate import instantiate
from benchmarks.runs.folder import Run
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
