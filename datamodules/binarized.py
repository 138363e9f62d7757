"""Grey images as binary ones: by a threshold, by one fixed draw, or drawn anew in every batch.

Scores on different binarisations of one data set must not be compared; each is a data set of its
own name.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.base import BatchStream, ImageDataModule, Splits
from datamodules.prepared import PreparedImages
from datamodules.root import data_root, expanded

__all__ = [
    "BinarizedOnce",
    "BinaryStream",
    "DynamicallyBinarized",
    "LarochelleMnist",
    "Thresholded",
]


def grey_images(name: str, data: ImageDataModule, root: str | None) -> PreparedImages:
    """Return prepared images of 256 levels, of the shape and labels that another data set has."""
    return PreparedImages(
        name=name,
        image_shape=data.shape,
        num_levels=256,
        num_classes=data.num_classes,
        validation_size=0,
        source=None,
        root=root,
    )


class Thresholded(ImageDataModule):
    """A pixel is 1 where its grey level is at least the threshold.

    Args:
        made_from: Name of the prepared grey images, of 256 levels.
        threshold: Smallest level that becomes 1.
        root: Folder of their file; None for `data_root()`.
        shared: The arguments of `ImageDataModule`.
    """

    def __init__(
        self,
        made_from: str,
        threshold: int,
        root: str | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.threshold = threshold
        self.grey = grey_images(made_from, self, root)

    def load(self) -> Splits:
        grey = self.grey.load()
        train, test = ((x >= self.threshold).astype(np.uint8) for x in (grey.train, grey.test))
        return Splits(train, grey.train_labels, test, grey.test_labels)


class BinarizedOnce(ImageDataModule):
    """A pixel is 1 with probability level / 255, by one draw for all time.

    As Salakhutdinov and Murray (2008) did for MNIST; the draw is our own, not the file that
    Larochelle published (`LarochelleMnist`).

    Args:
        made_from: Name of the prepared grey images, of 256 levels.
        seed: The seed of the draw.
        root: Folder of their file; None for `data_root()`.
        shared: The arguments of `ImageDataModule`.
    """

    def __init__(
        self,
        made_from: str,
        seed: int,
        root: str | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.seed = seed
        self.grey = grey_images(made_from, self, root)

    def load(self) -> Splits:
        grey = self.grey.load()
        rng = np.random.default_rng(self.seed)
        train, test = (_draw(rng, x) for x in (grey.train, grey.test))
        return Splits(train, grey.train_labels, test, grey.test_labels)


class DynamicallyBinarized(BinarizedOnce):
    """Training pixels are drawn anew in every batch (Burda et al., 2016, arXiv:1509.00519).

    A batch is a pure function of (seed, images_seen, global index). All splits, and so what is
    evaluated on, are one fixed draw.
    """

    def load(self) -> Splits:
        self._train_grey = self.grey.load().train
        return super().load()

    def train_dataloader(self) -> Any:
        plain = super().train_dataloader()
        index, _ = self._set_aside(len(self._train_grey))
        grey = torch.from_numpy(np.ascontiguousarray(self._train_grey[index]))
        return BinaryStream(plain, grey.to(self.device))


class BinaryStream:
    """A stream of batches whose pixels are drawn from grey images.

    Args:
        plain: Gives the indices and labels.
        grey: Training images (N, C, H, W), uint8.
    """

    def __init__(self, plain: BatchStream, grey: Tensor) -> None:
        self.plain, self.grey = plain, grey
        self.offsets = torch.from_numpy(plain.offsets)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        images_seen = self.plain.images_seen
        device = self.grey.device
        generator = torch.Generator(device)
        while True:
            index = torch.from_numpy(self.plain.indices(images_seen)).to(device)
            # `fold_seed` of lit_models.training.seeds, spelt out: data modules import no models
            entropy = np.random.SeedSequence([self.plain.seed, images_seen, 1])
            generator.manual_seed(int(entropy.generate_state(1, np.uint64)[0] >> np.uint64(1)))
            shape = (self.plain.span, *self.grey.shape[1:])
            uniform = torch.rand(shape, generator=generator, device=device)
            own = uniform[self.offsets.to(device)]
            x = self.grey.index_select(0, index).float() / 255
            yield (own < x).to(torch.uint8), self.plain.labels.index_select(0, index)
            images_seen += self.plain.span


class LarochelleMnist(ImageDataModule):
    """The binarised MNIST of Larochelle and Murray (2011), from files that you have.

    `binarized_mnist_train.amat`, `_valid.amat` and `_test.amat` hold a 0 or 1 per pixel, an image
    per line; they have no labels. The 10,000 validation images are the last training ones.

    Args:
        root: Folder of the files; None for `data_root()`.
        shared: The arguments of `ImageDataModule`.
    """

    def __init__(
        self,
        root: str | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.root = expanded(root, f"root of {self.name}") if root else data_root()

    def load(self) -> Splits:
        train, valid, test = (self._read(part) for part in ("train", "valid", "test"))
        train = np.concatenate([train, valid])
        zeros = [np.zeros(len(x), np.int64) for x in (train, test)]
        return Splits(train, zeros[0], test, zeros[1])

    def _read(self, part: str) -> np.ndarray:
        path = self.root / f"binarized_mnist_{part}.amat"
        try:
            values = np.loadtxt(path, dtype=np.uint8, ndmin=2)
        except FileNotFoundError:
            raise ValueError(
                f"data set {self.name} is missing: put {path.name} into the folder that "
                "DGMBENCH_DATA names (there is no download)"
            ) from None
        except ValueError as error:
            raise ValueError(f"{path} must hold lines of 0 and 1: {error}") from None
        if values.shape[1:] != (self.num_dims,):
            raise ValueError(
                f"{path} must have {self.num_dims} numbers a line, got {values.shape}"
            )
        return values.reshape(-1, *self.shape)


def _draw(rng: np.random.Generator, grey: np.ndarray) -> np.ndarray:
    """Return 0 or 1 with probability level / 255, in slices that fit the memory."""
    parts: list[Any] = [
        rng.random(x.shape, dtype=np.float32) * 255 < x
        for x in np.array_split(grey, max(1, len(grey) // 5000))
    ]
    return np.concatenate(parts).astype(np.uint8)
