"""The birthday test: few distinct samples against as many as the data have."""

import pytest
import torch

from benchmarks.evaluation.metrics.birthday import Birthday
from tests.benchmarks.evaluation.metrics.panel import fed, gaussian


def share(real, fake, batch_size=50):
    found = fed(Birthday(batch_size), real=real, fake=fake).compute()
    return found["birthday_collisions"].item()


def test_hand_worked_on_a_line():
    """Real batches have closest pairs 2 and 3; sample batches 1, 2, 0."""
    real = torch.tensor([0.0, 2.0, 5.0, 8.0]).double()[:, None]
    fake = torch.tensor([0.0, 1.0, 5.0, 7.0, 9.0, 9.0]).double()[:, None]
    found = fed(Birthday(2), real=real, fake=fake).compute()
    assert found["birthday_distance"] == 2
    assert found["birthday_collisions"].item() == pytest.approx(2 / 3)


def test_equal_real_images_do_not_hide_a_collapse():
    real = gaussian(0, n=400)
    real[1] = real[0]
    assert share(real, gaussian(1, n=1).repeat(400, 1)) == 1
    assert share(real, gaussian(2, n=400)) < 0.5
    pairs = gaussian(3, n=200).repeat_interleave(2, 0)  # in every batch
    assert share(pairs, gaussian(1, n=1).repeat(400, 1)) == 1
    assert share(pairs, gaussian(2, n=400)) == 0


def test_a_small_support_collides():
    real = gaussian(0, n=2000, d=8)
    assert share(real, gaussian(1, n=2000, d=8)) < 0.1
    rng = torch.Generator().manual_seed(2)
    hundred = gaussian(3, n=100, d=8)[torch.randint(100, (2000,), generator=rng)]
    assert share(real, hundred) == 1  # sqrt(100) = 10 would often do


def test_refusals():
    with pytest.raises(ValueError, match="batch_size must be >= 2, got 1"):
        Birthday(1)
    with pytest.raises(ValueError, match="Birthday needs at least 50 fake samples, got 49"):
        share(gaussian(0), gaussian(1, n=49))
