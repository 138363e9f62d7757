"""Three digits in the three colours: 1,000 modes with known labels."""

from collections.abc import Sequence

import numpy as np

from datamodules.base import ImageDataModule, Splits
from datamodules.prepared import PreparedImages

__all__ = ["StackedMnist"]


class StackedMnist(ImageDataModule):
    """Random triples of MNIST digits as red, green and blue (Metz et al., 2017, Sec. 3.3).

    https://arxiv.org/abs/1611.02163. Training triples are drawn from MNIST's training images, test
    triples from its test images; the class is 100 a + 10 b + c.

    Args:
        name: Name of the data set.
        image_shape: (3, 28, 28).
        num_levels: Levels of a pixel.
        num_classes: 1,000.
        train_size: Number of training triples.
        test_size: Number of test triples.
        seed: The seed of the draw.
        validation_size: Training triples set aside.
        made_from: Name of the prepared digits.
        root: Folder of their file; None for `data_root()`.
        fingerprint: Expected SHA-256 of the arrays, or None.
    """

    def __init__(
        self,
        name: str,
        image_shape: Sequence[int],
        num_levels: int,
        num_classes: int,
        train_size: int,
        test_size: int,
        seed: int,
        validation_size: int,
        made_from: str,
        root: str | None = None,
        fingerprint: str | None = None,
    ) -> None:
        super().__init__(name, image_shape, num_levels, num_classes, validation_size, fingerprint)
        self.train_size, self.test_size, self.seed = train_size, test_size, seed
        self.digits = PreparedImages(made_from, (1, 28, 28), 256, 10, 0, source=None, root=root)

    def load(self) -> Splits:
        digits = self.digits.load()
        rng = np.random.default_rng(self.seed)
        train = _triples(rng, digits.train, digits.train_labels, self.train_size)
        return Splits(*train, *_triples(rng, digits.test, digits.test_labels, self.test_size))


def _triples(
    rng: np.random.Generator, images: np.ndarray, labels: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    which = rng.integers(len(images), size=(count, 3))
    return images[which, 0], labels[which] @ np.array([100, 10, 1])
