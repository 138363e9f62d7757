"""Draw fashion_mnist_small.npz from the full set: balanced, seed 0, official splits kept apart.

Usage: python datamodules/assets/make_fashion_mnist_small.py FULL.npz, where FULL.npz holds
train_images, train_labels, test_images and test_labels of Fashion-MNIST.
"""

import sys
from pathlib import Path

import numpy as np

SEED, PER_CLASS = 0, {"train": 1000, "test": 200}


def draw(labels: np.ndarray, per_class: int, rng: np.random.Generator) -> np.ndarray:
    """Return shuffled indices with `per_class` of each label."""
    chosen = [
        rng.choice(np.flatnonzero(labels == label), per_class, replace=False)
        for label in np.unique(labels)
    ]
    return rng.permutation(np.concatenate(chosen))


def main() -> None:
    """Write the file beside this script."""
    rng = np.random.default_rng(SEED)
    out = {}
    with np.load(sys.argv[1], allow_pickle=False) as full:
        for split, per_class in PER_CLASS.items():
            index = draw(full[f"{split}_labels"], per_class, rng)
            out[f"{split}_images"] = full[f"{split}_images"][index]
            out[f"{split}_labels"] = full[f"{split}_labels"][index].astype(np.uint8)
    np.savez_compressed(Path(__file__).with_name("fashion_mnist_small.npz"), **out)


if __name__ == "__main__":
    main()
