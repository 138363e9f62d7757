"""Modes of rings and grids: real points, a collapsed source, refusals."""

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.config.compose import compose_group
from benchmarks.config.instantiate import instantiate
from benchmarks.evaluation.evaluate import evaluate_images
from benchmarks.evaluation.sources import TensorSource
from lit_models.callbacks.monitor import DivergedError
from tests.helpers import measured

RING = compose_group("datamodule", "gaussian_ring")


@pytest.fixture(scope="module")
def protocol():
    return instantiate(compose_group("protocol", "modes_2500"), "protocol")


@pytest.fixture(scope="module")
def data():
    module = instantiate(RING, "data")
    module.setup()
    return module


@pytest.mark.parametrize(("dataset", "modes"), [("gaussian_ring", 8), ("gaussian_grid", 25)])
def test_real_points_reach_the_ceiling(outputs, dataset, modes):
    record = evaluate_images("train", compose_group("datamodule", dataset), ["modes_2500"])
    found = record.evaluations[0].metrics
    assert found["modes"] == modes
    assert found["high_quality_percent"] == pytest.approx(98.9, abs=0.6)
    assert found["reverse_kl"] == pytest.approx(0, abs=0.01)


def test_a_collapsed_source(protocol, data):
    source = TensorSource(data.split("train")[0][:1].repeat(2500, 1), None, 0)
    protocol.check(source, data)
    found = measured(protocol, source, data)
    assert found["modes"] == 1
    assert found["reverse_kl"] == pytest.approx(2.0794, abs=1e-4)  # log 8


def test_refusals(protocol, data):
    points = data.split("train")[0]
    with pytest.raises(ValueError, match=r"samples must have shape \(2,\), got \(1,\)"):
        protocol.check(TensorSource(points[:, :1], None, 0), data)
    with pytest.raises(DivergedError, match="samples are not finite"):
        measured(protocol, TensorSource(points * torch.nan, None, 0), data)


def test_data_without_known_modes(outputs, capsys):
    arguments = ["evaluate", "images=test", "datamodule=digits", "protocol=modes_2500"]
    assert main(arguments) == 2
    assert "needs data of known modes (gaussian_ring, gaussian_grid)" in capsys.readouterr().err
