"""Seeds of training, each a function of others; numpy only."""

import numpy as np

__all__ = ["dropout_seed", "fold_seed", "step_seed"]


def fold_seed(*entropy: int) -> int:
    """Return one 63-bit seed from several non-negative integers, by numpy's SeedSequence."""
    (word,) = np.random.SeedSequence(list(entropy)).generate_state(1, np.uint64)
    return int(word >> np.uint64(1))


def step_seed(noise_seed: int, images_seen: int) -> int:
    """Return the seed of the noise of the training step that begins after `images_seen` images."""
    return fold_seed(noise_seed, images_seen)


def dropout_seed(noise_seed: int, images_seen: int, rank: int) -> int:
    """Return the seed of the library's generators in that step, each process having its own."""
    return fold_seed(noise_seed, images_seen, 1 + rank)
