"""BatchNorm over the global batch, so that a run does not depend on the number of processes."""

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as dist_functional
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["GlobalBatchNorm"]


class GlobalBatchNorm(nn.BatchNorm1d):
    """BatchNorm (Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167) over all processes.

    Takes (B, C) or (B, C, H, W). On one process it is torch's own kernel. On several, mean and
    variance go through a differentiable all-reduce, which is twice differentiable, so that it may
    stand in a discriminator under a gradient penalty; every process must then run the same calls.

    Args:
        num_features: C.
        eps: Added to the variance.
        momentum: Weight of the new batch in the running statistics (1 - decay).
    """

    def __init__(self, num_features: int, eps: float, momentum: float) -> None:
        super().__init__(num_features, eps=eps, momentum=momentum)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (2, 4):
            raise ValueError(f"input must have shape (B, C) or (B, C, H, W), got {input.dim()}-d")

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C) or (B, C, H, W)."""
        self._check_input_dim(input)
        if not self.training:
            return functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
            return functional.batch_norm(
                input,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                True,
                self.momentum,
                self.eps,
            )
        return self._global(input)

    def _global(self, input: Tensor) -> Tensor:
        x = input.to(self.running_mean.dtype)  # sums in full precision under autocast
        axes = [0, *range(2, x.dim())]
        column = [1, -1] + [1] * (x.dim() - 2)
        count = x.numel() // x.shape[1] * dist.get_world_size()  # equal shards
        mean = dist_functional.all_reduce(x.sum(axes)) / count
        centred = x - mean.view(column)
        var = dist_functional.all_reduce(centred.square().sum(axes)) / count
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * (count / (count - 1)), self.momentum)
        scale = self.weight * (var + self.eps).rsqrt()
        return (centred * scale.view(column) + self.bias.view(column)).to(input.dtype)
