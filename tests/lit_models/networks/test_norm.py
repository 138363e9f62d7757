"""GlobalBatchNorm on one process is torch's BatchNorm; on two, see test_distributed."""

import pytest
import torch
from torch import nn

from lit_models.networks.norm import GlobalBatchNorm


@pytest.mark.parametrize("shape", [(16, 3), (4, 3, 5, 5)])
def test_equals_torch_on_one_process(shape):
    torch.manual_seed(0)
    ours = GlobalBatchNorm(3, eps=1e-3, momentum=0.1)
    theirs = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(3, eps=1e-3, momentum=0.1)
    for _ in range(3):
        x = torch.randn(shape)
        torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=0)
    torch.testing.assert_close(ours.running_var, theirs.running_var, rtol=0, atol=0)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=0, atol=0)


def test_refuses_sequences():
    with pytest.raises(ValueError, match="input must have shape"):
        GlobalBatchNorm(3, eps=1e-3, momentum=0.1)(torch.zeros(2, 3, 4))
