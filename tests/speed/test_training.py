"""The comparisons of training run: a contract that moves must not leave them behind."""

import pytest

from tests.speed.__main__ import CASES
from tests.speed.training import training

SMALL = (
    "datamodule=synthetic",
    "datamodule.image_shape=[1,28,28]",
    "model.batch_size=2",
    "images_seen=100",
)
TRAINED = [case for case in CASES if case.label.startswith("training")]


@pytest.mark.parametrize("case", TRAINED, ids=lambda case: case.label)
def test_both_sides_of_a_comparison_train(case):
    overrides, _ = case.build.args
    small = () if "experiment=toy/ns_gan" in overrides else SMALL
    ours, bare = training([*overrides, *small], updates=1)
    assert ours() > 0
    assert bare() > 0
