"""The networks of PacGAN's experiments on rings and grids of Gaussians.

Lin, Khetan, Fanti and Oh, "PacGAN: The power of two samples in generative adversarial networks",
2018, https://arxiv.org/abs/1712.04086, Sec. 4.1 and the authors' configuration: weights N(0, .02).
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from lit_models.networks.dense.mlp import MLP
from lit_models.networks.norm import GlobalBatchNorm

__all__ = ["Maxout", "MaxoutMLP", "NormalisedMLP"]

STD = 0.02


class NormalisedMLP(MLP):
    """MLP with BatchNorm before each ReLU, and biases in the last layer only.

    Args:
        in_features: Width of the input.
        out_features: Width of the output.
        hidden: Widths of the hidden layers (4 x 400 in the paper).
        bn_momentum: Weight of the new batch in the running statistics.
        bn_eps: Added to the variance.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: Sequence[int],
        bn_momentum: float,
        bn_eps: float,
    ) -> None:
        nn.Sequential.__init__(self)
        for fan_in, fan_out in pairwise([in_features, *hidden]):
            self.append(nn.Linear(fan_in, fan_out, bias=False))
            self.append(GlobalBatchNorm(fan_out, eps=bn_eps, momentum=bn_momentum))
            self.append(nn.ReLU())
        self.append(nn.Linear([in_features, *hidden][-1], out_features))
        _initialise(self)


class Maxout(nn.Module):
    """The largest of several linear maps (Goodfellow et al., 2013, arXiv:1302.4389, Eq. 1).

    Args:
        in_features: Width of the input.
        out_features: Width of the output.
        pieces: Number of maps.
    """

    def __init__(self, in_features: int, out_features: int, pieces: int) -> None:
        super().__init__()
        self.maps = nn.Linear(in_features, out_features * pieces)
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_features) to (B, out_features)."""
        return self.maps(x).unflatten(1, (-1, self.pieces)).amax(2)


class MaxoutMLP(MLP):
    """MLP of maxout layers with a linear output.

    Args:
        in_features: Width of the input.
        out_features: Width of the output.
        hidden: Widths of the hidden layers (3 x 200 in the paper).
        pieces: Maps per maxout unit (5 in the paper).
    """

    def __init__(
        self, in_features: int, out_features: int, hidden: Sequence[int], pieces: int
    ) -> None:
        layers = [Maxout(a, b, pieces) for a, b in pairwise([in_features, *hidden])]
        last = nn.Linear([in_features, *hidden][-1], out_features)
        nn.Sequential.__init__(self, *layers, last)
        _initialise(self)


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=STD)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
