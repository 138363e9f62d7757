"""Schedules by hand."""

import pytest

from lit_models.schedules import LinearSchedule


@pytest.mark.parametrize(
    ("images_seen", "expected"), [(0, 1.0), (100, 1.0), (150, 0.6), (200, 0.2), (999, 0.2)]
)
def test_linear(images_seen, expected):
    assert LinearSchedule(100, 200, 0.2)(images_seen) == pytest.approx(expected)


def test_linear_refuses_an_empty_span():
    with pytest.raises(ValueError, match="begin_images must be >= 0 and below end_images, got 5"):
        LinearSchedule(5, 5, 0.0)
