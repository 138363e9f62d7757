"""Any network as an extractor: torchvision's, or yours."""

from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from benchmarks.evaluation.features.base import Features, check_hash
from datamodules.root import checked_name, data_root

__all__ = ["NetworkExtractor"]


class NetworkExtractor:
    """Features are the output of one layer, (B, D), or (B, C, H, W) averaged over space.

    A config names the network by `_target_` (torchvision.models.resnet18, or any importable
    module), the layer, and the weights with their hash, all of which enter the fingerprint of the
    protocol. Images are resized (bilinear, antialiased), and scaled to mean and deviation.

    Args:
        network: Takes images (B, C, H, W).
        layer: Name of the submodule, as in `network.named_modules()`.
        weights: Name of its state dict's file (.safetensors, or .pth of tensors only) in the
            folder that DGMBENCH_DATA names.
        weights_sha256: Hashes of the files that are accepted.
        channels: C; grey images are tiled.
        size: Side that images are resized to; None for their own.
        mean: Subtracted from images in [0, 1], per channel.
        std: Divisor, per channel.
        has_logits: Whether the network's output are logits of a classifier.

    Raises:
        ValueError: if the layer does not exist, or the weights are missing, others, or do not fit.
    """

    version = 1

    def __init__(
        self,
        network: nn.Module,
        layer: str,
        weights: str,
        weights_sha256: Sequence[str],
        channels: int,
        size: int | None,
        mean: Sequence[float],
        std: Sequence[float],
        has_logits: bool,
    ) -> None:
        if layer not in dict(network.named_modules()):
            raise ValueError(f"layer must be a submodule of the network, got {layer!r}")
        path = data_root() / checked_name(weights, "weights")
        check_hash(path, weights_sha256)
        try:
            network.load_state_dict(_read(path))
        except RuntimeError as error:
            raise ValueError(f"weights {weights} do not fit the network: {error}") from error
        self.network = network.eval().requires_grad_(False)
        self.layer = network.get_submodule(layer)
        self.channels, self.size, self.has_logits = channels, size, has_logits
        self.mean = torch.tensor(list(mean)).view(-1, 1, 1)
        self.std = torch.tensor(list(std)).view(-1, 1, 1)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Features:
        """Return features of floats in [0, 255], (B, C, H, W) or grey ones, where they lie."""
        if images.shape[1] not in (1, self.channels):
            raise ValueError(
                f"images must have 1 or {self.channels} channels, got {images.shape[1]}"
            )
        self.network.to(images.device)
        kept: list[Tensor] = []
        handle = self.layer.register_forward_hook(lambda *call: kept.append(call[2]))
        try:
            with torch.autocast(images.device.type, enabled=False):
                output = self.network(self._scaled(images.float()))
        finally:
            handle.remove()
        found = kept[-1]
        if found.dim() not in (2, 4):
            raise ValueError(
                f"layer must give (B, D) or (B, C, H, W), got shape {tuple(found.shape)}"
            )
        pooled = found.mean((2, 3)) if found.dim() == 4 else found
        return Features(pooled, output if self.has_logits else None)

    def _scaled(self, images: Tensor) -> Tensor:
        x = images.expand(-1, self.channels, -1, -1) / 255
        if self.size is not None:
            sides = (self.size, self.size)
            x = interpolate(x, sides, mode="bilinear", antialias=True, align_corners=False)
        return (x - self.mean.to(x.device)) / self.std.to(x.device)


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return safetensors.torch.load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)
