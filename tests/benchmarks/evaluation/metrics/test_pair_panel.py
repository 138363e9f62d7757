"""One pass gives what the two metrics give alone."""

import pytest
import torch

from benchmarks.evaluation.metrics import neighbours
from benchmarks.evaluation.metrics.kernel_distance import KernelDistance
from benchmarks.evaluation.metrics.pair_panel import PairPanel
from benchmarks.evaluation.metrics.prdc import PRDC
from tests.benchmarks.evaluation.metrics.panel import fed, gaussian


@pytest.mark.parametrize("block", [64, 1024])
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_it_equals_both(block, dtype, rtol, monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", block)
    real, fake = gaussian(0, n=310, shift=2).to(dtype), gaussian(1, n=240, shift=2.3).to(dtype)
    found = fed(PairPanel(3, 5, 20, 100, 2020), real=real, fake=fake).compute()
    kernel = fed(KernelDistance(20, 100, 2020), real=real, fake=fake).compute()
    neighbourhood = fed(PRDC(3, 5), real=real, fake=fake).compute()
    assert found.keys() == kernel.keys() | neighbourhood.keys()
    for name, value in {**kernel, **neighbourhood}.items():
        torch.testing.assert_close(found[name], value, rtol=rtol, atol=1e-9)


def test_refusals():
    with pytest.raises(ValueError, match="subsets must be >= 1 and subset_size >= 2"):
        PairPanel(3, 5, 0, 100, 2020)
    with pytest.raises(ValueError, match="PairPanel needs at least 100 fake samples, got 99"):
        fed(PairPanel(3, 5, 1, 100, 0), real=gaussian(0), fake=gaussian(1, n=99)).compute()
