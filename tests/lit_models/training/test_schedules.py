"""Schedules by hand."""

import pytest

from lit_models.training.schedules import ExponentialSchedule, LinearSchedule, PiecewiseSchedule


@pytest.mark.parametrize(
    ("images_seen", "expected"), [(0, 1.0), (100, 1.0), (150, 0.6), (200, 0.2), (999, 0.2)]
)
def test_linear(images_seen, expected):
    assert LinearSchedule(100, 200, 0.2)(images_seen) == pytest.approx(expected)


def test_linear_refuses_an_empty_span():
    with pytest.raises(ValueError, match="begin_images must be >= 0 and below end_images, got 5"):
        LinearSchedule(5, 5, 0.0)


def test_piecewise():
    schedule = PiecewiseSchedule([10, 30], [0.5, 0.1])
    assert [schedule(n) for n in (0, 9, 10, 29, 30, 1000)] == [1, 1, 0.5, 0.5, 0.1, 0.1]
    with pytest.raises(ValueError, match="begin_images must increase"):
        PiecewiseSchedule([10, 10], [0.5, 0.1])
    with pytest.raises(ValueError, match="factors must be as many"):
        PiecewiseSchedule([10], [])


def test_exponential():
    schedule = ExponentialSchedule(0.9, 64)
    assert schedule(0) == 1
    assert schedule(128) == pytest.approx(0.81)
    with pytest.raises(ValueError, match="factor_per_update must be in"):
        ExponentialSchedule(1.1, 64)
