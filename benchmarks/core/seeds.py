"""Every seed of a run, a score or a search, derived in one place from the one that a user gives.

What a training step draws is in `lit_models.training.seeds`, and the order of the data in
`datamodules.base`. For the pixels that it draws, `datamodules.binarized` spells `fold_seed` out
once more: data modules import nothing of the other packages, and `lit_models` nothing of theirs.
"""

from lit_models.training.seeds import fold_seed

__all__ = [
    "GRIDS",
    "INITIALISATION",
    "INVERSIONS",
    "NOISE",
    "ORDER",
    "SAMPLES",
    "chunk_seed",
    "draw_seed",
    "phase_seed",
    "seed_of",
]

INITIALISATION, ORDER, NOISE, GRIDS = range(4)  # children of a run's seed
SAMPLES, INVERSIONS = range(2)  # children of the seed of a protocol that draws two kinds


def seed_of(seed: int, child: int) -> int:
    """Return the seed of a child, such as a run's initial weights."""
    return fold_seed(seed, child)


def draw_seed(seed: int, draw: int) -> int:
    """Return the seed of a repeated draw of samples; the first has the protocol's own."""
    return seed if draw == 0 else fold_seed(seed, draw)


def chunk_seed(seed: int, chunk: int) -> int:
    """Return the seed of a chunk of samples, whoever draws it."""
    return fold_seed(seed, chunk)


def phase_seed(seed: int, phase: int) -> int:
    """Return the seed of a phase of a search: two with one space draw differently."""
    return seed + 1_000_003 * phase
