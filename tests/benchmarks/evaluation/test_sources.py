"""Where images come from that are scored, and how they are shared among processes."""

import pytest
import torch

from benchmarks.config.compose import compose_group
from benchmarks.config.instantiate import instantiate
from benchmarks.evaluation.sources import TensorSource


@pytest.fixture(scope="module")
def data():
    module = instantiate(compose_group("datamodule", "fashion_mnist_small"), "data")
    module.setup()
    return module


def test_an_order_of_its_own_for_images(data):
    source = TensorSource(data.split("test")[0], 256, seed=0)
    first = source(range(0, 10), torch.Generator())
    assert torch.equal(source(range(2, 5), torch.Generator()), first[2:5])
    assert not torch.equal(first, data.split("test")[0][:10].float())
    with pytest.raises(ValueError, match="needs at least 2001 images, got 2000"):
        source(range(2000, 2001), torch.Generator())
