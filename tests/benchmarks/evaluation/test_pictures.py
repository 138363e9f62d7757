"""Pictures: what stands where, by pixels, and mistakes."""

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.evaluation.features.base import Features
from benchmarks.evaluation.features.cache import FeatureCache
from benchmarks.evaluation.latent_figure import ACTIVE, COLLAPSED, latent_figure
from benchmarks.evaluation.pictures import (
    GREEN,
    RED,
    Near,
    arithmetic,
    interpolate,
    neighbours,
    scatter,
)
from benchmarks.runs.folder import Run
from benchmarks.training.train import train
from lit_models.images import UnitRange
from lit_models.priors import NormalPrior
from tests.helpers import METHODS, Untrained, tiny_run

SIDE = 4


class Painter(Untrained):
    """Paints the first number of a code as a level, the second one's square below."""

    def __init__(self):
        super().__init__(batch_size=1, data_range=UnitRange(256))
        self.prior = NormalPrior(64)

    def decode(self, z):
        top = torch.sigmoid(z[:, 0]).view(-1, 1, 1, 1).expand(-1, 1, SIDE // 2, SIDE)
        low = (z.square().mean(1) / 2).view(-1, 1, 1, 1).expand(-1, 1, SIDE // 2, SIDE)
        return torch.cat([top, low], 2)


def tile(grid, row, column):
    top, left = row * (SIDE + 2), column * (SIDE + 2)
    return grid[top : top + SIDE, left : left + SIDE, 0].astype(float)


@pytest.mark.parametrize("spherical", [False, True])
def test_interpolation_ends_at_draws_of_the_prior(spherical):
    model = Painter()
    grid = interpolate(model, spherical)
    samples = model.to_images(model.sample(16, torch.Generator().manual_seed(42)))
    for row in range(8):
        for column, sample in ((0, samples[row]), (9, samples[8 + row])):
            expected = sample[0].round().numpy()
            assert np.array_equal(tile(grid, row, column), expected)


def test_an_arc_keeps_the_length_that_a_line_loses():
    """The lower half shows the mean square of the code, about 1 for draws."""
    line, arc = (interpolate(Painter(), s) for s in (False, True))
    middle = [np.mean([tile(g, row, 5)[-1, 0] for row in range(8)]) for g in (line, arc)]
    ends = np.mean([tile(arc, row, 0)[-1, 0] for row in range(8)])
    assert middle[1] == pytest.approx(ends, rel=0.15)
    assert middle[0] < 0.7 * ends


class Pixels:
    """Three classes by the upper level; features are the pixels."""

    def __call__(self, images):
        level = images[:, 0, 0, 0]
        edges = torch.tensor([60.0, 128.0, 200.0])
        return Features(images.flatten(1), -(level[:, None] - edges).abs())


def test_arithmetic_adds_and_subtracts_averages():
    grid = arithmetic(Painter(), Pixels(), classes=[0, 1, 2])
    assert grid.shape[:2] == (4 * (SIDE + 2) - 2, 4 * (SIDE + 2) - 2)
    logit = [np.log(t / (255 - t)) for t in (tile(grid, row, 3)[0, 0] for row in range(4))]
    assert logit[3] == pytest.approx(logit[0] - logit[1] + logit[2], abs=0.2)
    for row in range(3):  # the average of its exemplars
        own = [tile(grid, row, c)[0, 0] for c in range(3)]
        assert min(own) - 1 <= tile(grid, row, 3)[0, 0] <= max(own) + 1


class Lattice:
    """Training images of one level each."""

    num_levels = 256

    def split(self, name):
        assert name == "train"
        levels = torch.arange(0, 256, 5, dtype=torch.uint8)
        return levels.view(-1, 1, 1, 1).expand(-1, 1, SIDE, SIDE), levels


def test_neighbours_are_the_nearest_training_images(tmp_path):
    near = Near(Pixels(), FeatureCache(tmp_path, "pixels", ["lattice"]), seed=0, chunk_size=20)
    grid = neighbours(Painter(), Lattice(), near)
    assert np.array_equal(neighbours(Painter(), Lattice(), near), grid)  # from the kept features
    for row in range(8):
        sample = tile(grid, row, 0)
        distances = [((tile(grid, row, c) - sample) ** 2).sum() for c in range(1, 6)]
        others = [((level - sample) ** 2).sum() for level in range(0, 256, 5)]
        assert distances == pytest.approx(sorted(others)[:5], rel=0.05, abs=60)


def test_covered_modes_are_green_and_missed_ones_red():
    modes = np.array([[0.0, 0.0], [1.0, 1.0]])
    points = np.array([[0.01, 0.0], [0.5, 0.9]])
    figure = scatter(points, modes, radius=0.1, covered=np.array([True, False]))
    colours = {tuple(c) for c in figure.reshape(-1, 3)}
    assert {GREEN, RED} <= colours
    height = figure.shape[0] // 2
    assert GREEN in {tuple(c) for c in figure[height - 40 : height + 40].reshape(-1, 3)}
    assert RED not in {tuple(c) for c in figure[height:].reshape(-1, 3)}  # (1, 1) is above


def test_the_verb_on_images(outputs, capsys):
    composed = tiny_run(METHODS["ns_gan"], ["datamodule=fashion_mnist_small"])
    train(composed, bar=False)
    folder = Run.of(composed).folder
    assert main(["pictures", str(folder), "protocol=fd_lenet_2k_test2k"]) == 0
    found = {p.stem for p in (folder / "pictures/last").glob("*.png")}
    assert found >= {"interpolation_linear", "interpolation_spherical", "neighbours"}
    assert str(folder / "pictures/last/neighbours.png") in capsys.readouterr().out
    assert main(["pictures", str(folder), "protocol=bits_per_dim_test"]) == 2
    assert "protocol must have an extractor" in capsys.readouterr().err
    assert main(["pictures", str(folder), "checkpoint=3"]) == 2
    assert "checkpoint must be one of last, got '3'" in capsys.readouterr().err


def test_the_verb_on_points(outputs):
    composed = tiny_run("toy/ns_gan")
    train(composed, bar=False)
    folder = Run.of(composed).folder
    assert main(["pictures", str(folder)]) == 0
    (path,) = (folder / "pictures/last").glob("*.png")
    assert (path.stem, Image.open(path).size) == ("modes", (640, 640))
    for wrong in ("protocol=nonsense", "protocol=modes_2500", "classes=1,2,3", "classes=²,1,2"):
        assert main(["pictures", str(folder), wrong]) == 2


def test_all_checkpoints_are_drawn_as_they_are_scored(outputs, capsys):
    composed = tiny_run("toy/ns_gan")
    composed.cfg.snapshot_every_images = composed.cfg.images_seen // 2
    train(composed, bar=False)
    folder = Run.of(composed).folder
    assert main(["pictures", str(folder), "checkpoint=all"]) == 0
    drawn = {p.parent.name for p in (folder / "pictures").rglob("modes.png")}
    snapshots = {p.stem.split("-")[1] for p in (folder / "checkpoints").glob("snapshot-*.pt")}
    assert drawn == {*snapshots, "last"}
    assert len(drawn) == 3
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_samples_that_are_not_finite_are_refused():
    class Broken(Painter):
        def decode(self, z):
            return super().decode(z) * float("nan")

    with pytest.raises(ValueError, match="samples are not finite"):
        interpolate(Broken(), spherical=False)


def test_mistakes(outputs, capsys, tmp_path):
    assert main(["pictures", str(tmp_path)]) == 2
    assert "RUN must be a run's folder" in capsys.readouterr().err
    assert main(["pictures", str(tmp_path), "classes=a,b"]) == 2
    assert "classes must be numbers such as 9,7,2, got a,b" in capsys.readouterr().err
    model = Painter()
    for classes, message in (
        ([0, 1], "classes must be three"),
        ([0, 1, 3], r"classes must be in 0 \.\. 2, got 3"),
    ):
        with pytest.raises(ValueError, match=message):
            arithmetic(model, Pixels(), classes)


def test_the_figure_of_latents_has_two_bars_per_layer():
    values = {
        "active_units": 8.0,
        "active_units_1": 8.0,
        "collapsed_latents_1": 2.0,
        "active_units_2": 0.0,
        "collapsed_latents_2": 5.0,
    }
    areas = {}
    for name, colour in (("active", ACTIVE), ("collapsed", COLLAPSED)):
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        areas[name] = int((latent_figure(values) == rgb).all(axis=2).sum())
    assert areas["active"] / areas["collapsed"] == pytest.approx(8 / 7, rel=0.1)  # with the legend


def test_the_figure_of_latents_is_the_same_under_any_settings(tmp_path, monkeypatch):
    import matplotlib

    values = {"active_units_1": 3.0}  # with a flow nothing is said of collapsed ones
    before = latent_figure(values)
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red"}):
        assert (latent_figure(values) == before).all()
