"""BatchNorm over the global batch, so that a run does not depend on the number of processes."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lit_models.training.collectives import gathered, world

__all__ = ["GlobalBatchNorm"]


class GlobalBatchNorm(nn.BatchNorm1d):
    """BatchNorm (Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167) over all processes.

    Takes (B, C) or (B, C, H, W). On one process it is torch's own kernel. On several, the means
    and variances of all are joined (Chan, Golub and LeVeque, 1983, https://doi.org/10.2307/2683386,
    for parts of equal size) after one exchange, which is differentiable twice, so that it may
    stand in a discriminator under a gradient penalty; every process must then run the same calls.

    Args:
        num_features: C.
        eps: Added to the variance.
        momentum: Weight of the new batch in the running statistics (1 - decay).
    """

    def __init__(self, num_features: int, eps: float, momentum: float) -> None:
        super().__init__(num_features, eps=eps, momentum=momentum)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C) or (B, C, H, W); ValueError for another number of dimensions."""
        if input.dim() not in (2, 4):
            raise ValueError(f"input must have shape (B, C) or (B, C, H, W), got {input.dim()}-d")
        if not self.training:
            return functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        if world()[1] > 1:
            return self._global(input)
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

    def _global(self, input: Tensor) -> Tensor:
        x = input.to(self.running_mean.dtype)  # sums in full precision under autocast
        axes = [0, *range(2, x.dim())]
        column = [1, -1] + [1] * (x.dim() - 2)
        own_mean = x.mean(axes)
        centred = x - own_mean.view(column)  # var_mean of torch is five times slower on a CPU
        parts = gathered(torch.cat([own_mean, centred.square().mean(axes)]))  # equal shards
        means, variances = parts.chunk(2, dim=1)
        mean = means.mean(0)
        var = variances.mean(0) + (means - mean).square().mean(0)
        with torch.no_grad():
            count = x.numel() // x.shape[1] * world()[1]
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * (count / (count - 1)), self.momentum)
        scale = self.weight * (var + self.eps).rsqrt()
        shift = self.bias + (own_mean - mean) * scale
        return torch.addcmul(shift.view(column), centred, scale.view(column)).to(input.dtype)
