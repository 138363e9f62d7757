"""Memorisation: copies, new data, noise; the direction; refusal."""

import pytest
import torch

from benchmarks.evaluation.metrics.memorisation import Memorisation
from tests.benchmarks.evaluation.metrics.panel import fed, gaussian


def scores(train, real, fake):
    found = fed(Memorisation(0.05), train=train, real=real, fake=fake).compute()
    return {name: value.item() for name, value in found.items()}


def test_hand_worked_on_a_line():
    """Test distances 1, 3; sample distances 0, 2, 3, 5."""
    metric = Memorisation(0.5)
    points = {"train": [0.0, 100.0], "real": [1.0, 103.0], "fake": [0.0, 2.0, -3.0, 105.0]}
    found = fed(metric, **{k: torch.tensor(v).double()[:, None] for k, v in points.items()})
    assert {n: v.item() for n, v in found.compute().items()} == pytest.approx(
        # nearer than 1 and 3: 2 of 2; 1 of 2; half of one; none. Below 2 (the median of 1, 3): 0
        {"copied": (1 + 0.5 + 0.25 + 0) / 4, "too_near": 1 / 4, "distance_ratio": 2.5 / 2}
    )


def test_copies_new_data_and_noise_are_told_apart():
    train, real = gaussian(0, n=600), gaussian(1, n=500)
    copies = scores(train, real, train[:400])
    new = scores(train, real, gaussian(2, n=400))
    noise = scores(train, real, gaussian(3, n=400, scale=4))
    assert copies == {"copied": 1.0, "too_near": 1.0, "distance_ratio": 0.0}
    assert new["copied"] == pytest.approx(0.5, abs=0.05)
    assert new["too_near"] == pytest.approx(0.05, abs=0.03)
    assert new["distance_ratio"] == pytest.approx(1, abs=0.1)
    assert noise["copied"] < 0.1
    assert noise["distance_ratio"] > 2


def test_the_direction_is_from_sample_to_training_set():
    """One sample of each training image would be near to all in the other direction."""
    train, real = gaussian(0, n=300), gaussian(1, n=300)
    far = torch.cat([train[:20], gaussian(2, n=380, shift=50)])
    assert scores(train, real, far)["too_near"] == pytest.approx(20 / 400)


def test_refusals():
    with pytest.raises(ValueError, match="quantile must be > 0 and < 1, got 1"):
        Memorisation(1)
    with pytest.raises(ValueError, match="Memorisation needs at least 20 train samples, got 3"):
        scores(gaussian(0, n=3), gaussian(1), gaussian(2))
    with pytest.raises(ValueError, match="training features that differ, got constant ones"):
        scores(torch.ones(30, 6).double(), gaussian(1), gaussian(2))
