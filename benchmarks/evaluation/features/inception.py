"""Extractor `inception_2015`: the network of the published FID and Inception scores."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import (
    URL_INCEPTION_V3,
    FeatureExtractorInceptionV3,
)
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from benchmarks.evaluation.features.base import Features, check_hash
from datamodules.root import checked_name, data_root

__all__ = ["PUBLISHED_SHA256", "URL_INCEPTION_V3", "Inception2015", "resize"]

PUBLISHED_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"

SIDE = 299
CPU_BATCH = 16  # a larger one leaves the cache


def resize(images: Tensor) -> Tensor:
    """Return images (B, C, H, W) at 299x299 by TensorFlow 1's bilinear rule."""
    return interpolate_bilinear_2d_like_tensorflow1x(
        images, size=(SIDE, SIDE), align_corners=False
    )


class _Network(FeatureExtractorInceptionV3):
    """torch-fidelity's network, entered below its assertion of uint8 images."""

    TRUNK = (
        "Conv2d_1a_3x3",
        "Conv2d_2a_3x3",
        "Conv2d_2b_3x3",
        "MaxPool_1",
        "Conv2d_3b_1x1",
        "Conv2d_4a_3x3",
        "MaxPool_2",
        "Mixed_5b",
        "Mixed_5c",
        "Mixed_5d",
        "Mixed_6a",
        "Mixed_6b",
        "Mixed_6c",
        "Mixed_6d",
        "Mixed_6e",
        "Mixed_7a",
        "Mixed_7b",
        "Mixed_7c",
        "AvgPool",
    )

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:  # type: ignore[override]
        """Accept weights without the classifier head; refuse any other gap."""
        missing, unexpected = super().load_state_dict(state_dict, strict=False)
        if unexpected or any(not key.startswith("fc.") for key in missing):
            raise ValueError(f"weights do not fit the Inception network: {missing + unexpected}")
        self.has_head = not missing

    def pooled(self, images: Tensor) -> Tensor:
        """Return (B, 2048) of floats in [0, 255], (B, 3, H, W), unrounded."""
        x = (resize(images) - 128) / 128
        for name in self.TRUNK:
            x = getattr(self, name)(x)
        return x.flatten(1)


class Inception2015:
    """Inception-v3 of 2015-12-05 as converted by torch-fidelity: 2048 features, 1008 logits.

    Images keep their floats (Lucic et al., 2018, do not round); grey ones are tiled to three
    channels; the resize is that of TensorFlow 1 (bilinear, no half-pixel centres, no antialias).
    Weights without the classifier head give features only.

    Args:
        weights: Name of the file in the folder that DGMBENCH_DATA names.
        weights_sha256: Hashes of the files that are accepted.

    Raises:
        ValueError: if the file is missing, or is none of those.
    """

    version = 1
    of_vectors = False
    num_features = 2048

    def __init__(self, weights: str, weights_sha256: Sequence[str]) -> None:
        path = data_root() / checked_name(weights, "weights")
        if not path.exists():
            raise ValueError(
                f"weights file {weights} is missing: run `dgmbench prefetch inception_2015`, or "
                "put it into the folder that DGMBENCH_DATA names"
            )
        check_hash(path, weights_sha256)
        network = _Network("inception_2015", ["2048"], str(path))
        self.network = network.to(memory_format=torch.channels_last)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Features:
        """Return features of floats in [0, 255], (B, 1 or 3, H, W), computed where they lie."""
        if images.shape[1] not in (1, 3):
            raise ValueError(f"images must have 1 or 3 channels, got {images.shape[1]}")
        self.network.to(images.device)
        size = CPU_BATCH if images.device.type == "cpu" else len(images)
        with torch.autocast(images.device.type, enabled=False):
            floats = images.float().expand(-1, 3, -1, -1)
            pooled = torch.cat([self.network.pooled(part) for part in floats.split(size)])
            # without bias, as in the published score
            logits = pooled @ self.network.fc.weight.T if self.network.has_head else None
        return Features(pooled, logits)
