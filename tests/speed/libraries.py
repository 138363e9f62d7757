"""Batches, metrics and features against the libraries a user would otherwise take."""

import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from benchmarks.config.compose import compose_group
from benchmarks.config.instantiate import instantiate
from benchmarks.evaluation.features.inception import Inception2015
from benchmarks.evaluation.metrics.frechet import covariance_factor, frechet_distance
from datamodules.base import BatchStream, DataModule
from tests.speed.training import Side

__all__ = ["batches", "extractor", "frechet"]


def batches() -> tuple[Side, Side]:
    """One epoch of float images in [0, 1] with labels."""
    import torchvision

    data = instantiate(compose_group("datamodule", "fashion_mnist_small"), "datamodule")
    data.setup()
    folder = tempfile.TemporaryDirectory()
    _write_idx(data, Path(folder.name) / "FashionMNIST" / "raw")
    to_tensor = torchvision.transforms.ToTensor()
    theirs = torchvision.datasets.FashionMNIST(folder.name, train=True, transform=to_tensor)
    loader = torch.utils.data.DataLoader(theirs, batch_size=64, shuffle=True, drop_last=True)
    count = len(theirs) // 64

    def ours(keep: Any = folder) -> float:
        stream = iter(BatchStream(*data.split("train"), batch_size=64))
        began = time.perf_counter()
        for _ in range(count):
            x, _ = next(stream)
            x.float() / 255
        return count * 64 / (time.perf_counter() - began)

    def torchvisions() -> float:
        began = time.perf_counter()
        for _ in loader:
            pass
        return count * 64 / (time.perf_counter() - began)

    return ours, torchvisions


def _write_idx(data: DataModule, folder: Path) -> None:
    """Write the splits in the format torchvision reads, so that nothing is downloaded."""
    folder.mkdir(parents=True)
    for split, stem in (("train", "train"), ("test", "t10k")):
        x, labels = (t.numpy().astype(np.uint8) for t in data.split(split))
        for array, kind in ((x[:, 0], "images-idx3"), (labels, "labels-idx1")):
            head = bytes([0, 0, 8, array.ndim])
            sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
            (folder / f"{stem}-{kind}-ubyte").write_bytes(head + sizes + array.tobytes())


def frechet(library: str, cached: bool) -> tuple[Side, Side]:
    """Fréchet distances per second at 2048 dimensions, from known moments, on all cores."""
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_statistics_to_metric
    from torchmetrics.image.fid import _compute_fid

    rng = torch.Generator().manual_seed(0)
    mix = torch.randn(2048, 2048, generator=rng, dtype=torch.float64) / 2048**0.5
    moments = []
    for shift in (0.0, 0.1):
        x = torch.randn(3000, 2048, generator=rng, dtype=torch.float64) @ mix + shift
        moments += [x.mean(0), x.T.cov()]
    factor = covariance_factor(moments[1]) if cached else None
    (mu_1, cov_1), (mu_2, cov_2) = ((m.numpy(), c.numpy()) for m, c in (moments[:2], moments[2:]))
    first, second = {"mu": mu_1, "sigma": cov_1}, {"mu": mu_2, "sigma": cov_2}
    functions: dict[str, Callable[[], float]] = {
        "ours": lambda: float(frechet_distance(*moments, factor_1=factor)),
        "torchmetrics": lambda: float(_compute_fid(*moments)),
        "torch-fidelity": lambda: fid_statistics_to_metric(first, second, False)[KEY_METRIC_FID],
    }
    values: dict[str, float] = {}

    def timed(name: str) -> float:
        threads = torch.get_num_threads()
        torch.set_num_threads(len(os.sched_getaffinity(0)))  # as numpy does for torch-fidelity
        began = time.perf_counter()
        values[name] = functions[name]()
        seconds = time.perf_counter() - began
        torch.set_num_threads(threads)
        if len(values) == 2:
            ours, theirs = values["ours"], values[library]
            assert abs(ours - theirs) <= 1e-6 * abs(theirs), (ours, theirs)
        return 1 / seconds

    return partial(timed, "ours"), partial(timed, library)


def extractor() -> tuple[Side, Side]:
    """Inception features of 32 images, against torch-fidelity's own loop; random weights."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torch_fidelity.utils import get_featuresdict_from_dataset

    class Unloaded(FeatureExtractorInceptionV3):
        def load_state_dict(self, state_dict: Any) -> None:  # type: ignore[override]
            """Keep the initial weights."""

    class Images(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> Tensor:
            return images[index]

    torch.manual_seed(0)
    images = torch.randint(0, 256, (32, 3, 32, 32), dtype=torch.uint8)
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / "random.pth"
    torch.save({}, path)
    theirs = Unloaded("inception-v3-compat", ["2048"], str(path))
    torch.save(theirs.state_dict(), path)
    with patch.dict(os.environ, DGMBENCH_DATA=folder.name):  # where weights are looked for
        ours = Inception2015(path.name, [hashlib.sha256(path.read_bytes()).hexdigest()])

    def our_loop() -> float:
        began = time.perf_counter()
        ours(images.float())
        return len(images) / (time.perf_counter() - began)

    def their_loop() -> float:
        began = time.perf_counter()
        get_featuresdict_from_dataset(Images(), theirs, 32, False, True, False)
        return len(images) / (time.perf_counter() - began)

    folder.cleanup()
    return our_loop, their_loop
