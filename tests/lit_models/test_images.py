"""Conversions keep every level."""

import pytest
import torch

from lit_models.images import LevelRange, SignedRange, UnitRange, VectorRange, round_to_uint8

LEVELS = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)


@pytest.mark.parametrize(
    ("data_range", "low", "high"),
    [(UnitRange(256), 0, 1), (SignedRange(256), -1, 1), (LevelRange(256), 0, 255)],
)
def test_round_trip_of_all_levels(data_range, low, high):
    encoded = data_range.encode(LEVELS, torch.float32)
    assert (encoded.min(), encoded.max()) == (low, high)
    assert torch.equal(round_to_uint8(data_range.to_images(encoded)), LEVELS)


def test_seventeen_levels_span_the_range():
    digits = torch.tensor([[0, 8, 16]], dtype=torch.uint8)
    torch.testing.assert_close(
        UnitRange(17).encode(digits, torch.float64), torch.tensor([[0, 0.5, 1]]).double()
    )
    images = LevelRange(17).to_images(digits.long())
    torch.testing.assert_close(images, torch.tensor([[0.0, 127.5, 255.0]]))


def test_rounding_rounds_and_clamps():
    x = torch.tensor([-3.0, 0.49, 0.51, 254.6, 300.0])
    assert round_to_uint8(x).tolist() == [0, 0, 1, 255, 255]


def test_samples_outside_the_range_are_clamped():
    assert UnitRange(256).to_images(torch.tensor([-1.0, 2.0])).tolist() == [0, 255]
    assert SignedRange(256).to_images(torch.tensor([-9.0, 9.0])).tolist() == [0, 255]


def test_vectors_are_no_images():
    x = torch.randn(3, 2)
    assert torch.equal(VectorRange().to_images(VectorRange().encode(x, torch.float32)), x)
