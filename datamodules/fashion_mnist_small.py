"""12,000 real images of Fashion-MNIST, embedded: training and evaluation without a download."""

from pathlib import Path

from datamodules.base import ImageDataModule, Splits
from datamodules.npz import read_npz

__all__ = ["ASSET", "FashionMNISTSmall"]

ASSET = Path(__file__).parent / "assets" / "fashion_mnist_small.npz"


class FashionMNISTSmall(ImageDataModule):
    """10,000 training and 2,000 test images, (1, 28, 28), balanced over 10 classes.

    Xiao et al., 2017, https://arxiv.org/abs/1708.07747 (MIT licence, beside the file). Drawn from
    the official splits with seed 0 by `datamodules/assets/make_fashion_mnist_small.py`.
    """

    def load(self) -> Splits:
        return read_npz(ASSET)
