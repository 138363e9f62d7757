"""Three digits in the three colours: 1,000 modes with known labels."""

from typing import Any

import numpy as np

from datamodules.base import ImageDataModule, Splits
from datamodules.prepared import PreparedImages

__all__ = ["StackedMnist"]


class StackedMnist(ImageDataModule):
    """Random triples of MNIST digits as red, green and blue (Metz et al., 2017, Sec. 3.3).

    https://arxiv.org/abs/1611.02163. Training triples are drawn from MNIST's training images, test
    triples from its test images; the class is 100 a + 10 b + c. The code of Lin et al. (2018),
    https://arxiv.org/abs/1712.04086, draws training triples from all 70,000 digits.

    Args:
        train_size: Number of training triples.
        test_size: Number of test triples.
        seed: The seed of the draw.
        made_from: Name of the prepared digits.
        root: Folder of their file; None for `data_root()`.
        train_on_all_digits: Whether training triples are drawn from the test images, too; None
            for no.
        shared: The arguments of `ImageDataModule`.
    """

    def __init__(
        self,
        train_size: int,
        test_size: int,
        seed: int,
        made_from: str,
        root: str | None = None,
        train_on_all_digits: bool | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.train_size, self.test_size, self.seed = train_size, test_size, seed
        self.train_on_all_digits = train_on_all_digits
        self.digits = PreparedImages(
            name=made_from,
            image_shape=(1, 28, 28),
            num_levels=256,
            num_classes=10,
            validation_size=0,
            source=None,
            root=root,
        )

    def load(self) -> Splits:
        digits = self.digits.load()
        rng = np.random.default_rng(self.seed)
        images, labels = digits.train, digits.train_labels
        if self.train_on_all_digits:
            images = np.concatenate([images, digits.test])
            labels = np.concatenate([labels, digits.test_labels])
        train = _triples(rng, images, labels, self.train_size)
        return Splits(*train, *_triples(rng, digits.test, digits.test_labels, self.test_size))


def _triples(
    rng: np.random.Generator, images: np.ndarray, labels: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    which = rng.integers(len(images), size=(count, 3))
    return images[which, 0], labels[which] @ np.array([100, 10, 1])
