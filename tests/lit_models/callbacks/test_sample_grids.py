"""Grids show what they should, and drawing them leaves training as it was."""

import shutil

import numpy as np
import torch
from PIL import Image

from benchmarks.training.train import train
from lit_models.callbacks.sample_grids import image_grid, sampling
from tests.helpers import METHODS, assert_same_state, tiny_run


def test_grid_by_hand():
    images = torch.stack([torch.full((1, 2, 2), v) for v in (10.4, 10.6, 300.0)])
    grid = image_grid(images, columns=2)
    assert grid.shape == (6, 6, 1)
    assert (grid[:2, :2] == 10).all()
    assert (grid[:2, 4:] == 11).all()
    assert (grid[4:, :2] == 255).all()
    assert (grid[:, 2:4] == 255).all()


def test_sampling_restores_the_mode():
    model = torch.nn.BatchNorm1d(2)
    with sampling(model):
        assert not model.training
        assert not torch.is_grad_enabled()
    assert model.training
    assert torch.is_grad_enabled()


def test_drawing_does_not_change_training(outputs):
    states = []
    for every in (None, 8):
        composed = tiny_run(METHODS["ns_gan"], ["seed=0"])
        composed.cfg.sample_grid_every_images = every
        folder = train(composed, bar=False)
        assert folder.status == "finished"
        (run,) = outputs.glob("*/*/*")
        states.append(torch.load(run / "checkpoints/32.ckpt", weights_only=True)["state_dict"])
        grids = sorted(int(p.stem) for p in (run / "samples").glob("*.png"))
        assert grids == ([32] if every is None else [8, 16, 24, 32])
        shown = np.asarray(Image.open(run / "samples/32.png"))
        assert shown.shape == (8 * 30 - 2, 8 * 30 - 2)
        shutil.rmtree(outputs)
    assert_same_state(states[0], states[1])
