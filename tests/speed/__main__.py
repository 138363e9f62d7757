"""Run all comparisons; each runs its sides alternately, so that a busy machine slows both."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import chain

import torch
from tqdm import tqdm

from benchmarks.training.build import quiet
from tests.speed.cluster import cluster
from tests.speed.libraries import batches, extractor, frechet
from tests.speed.likelihoods import likelihoods
from tests.speed.panel import growth, panel, panel_memory
from tests.speed.survival import survival
from tests.speed.tables import tables
from tests.speed.training import Side, training

THREADS = 1


@dataclass(frozen=True)
class Case:
    """One comparison; `rounds` count after one that warms up."""

    label: str
    goal: str
    unit: str
    rounds: int
    build: Callable[[], tuple[Side, Side]]


def main() -> None:
    """Print one line per comparison."""
    quiet()
    torch.set_num_threads(THREADS)
    print(f"torch {torch.__version__}, {THREADS} thread, medians of rounds in turn")
    for case in CASES:
        ours, theirs = case.build()
        a, b, ratio = alternate(ours, theirs, case.label, case.rounds)
        rates = f"{a:,.4g} against {b:,.4g} {case.unit}"
        print(f"{case.label}: {rates}, ratio {ratio:.2f} ({case.goal}; {case.rounds} rounds)")
    print(panel_memory())
    for line in chain(tables(), cluster(), survival(), likelihoods(), panel(), growth()):
        print(line, flush=True)


def alternate(ours: Side, theirs: Side, label: str, rounds: int) -> tuple[float, float, float]:
    """Return the median rates of both sides, and the median of the rounds' ratios.

    The first round warms up and does not count; every second round begins with the other side.
    """
    rates = []
    for i in tqdm(range(rounds + 1), desc=label, leave=False, disable=None):
        rates.append((ours(), theirs()) if i % 2 else (theirs(), ours())[::-1])
    a, b = zip(*rates[1:], strict=True)
    ratios = [x / y for x, y in rates[1:]]
    return statistics.median(a), statistics.median(b), statistics.median(ratios)


def _training(label: str, least: float, rounds: int, updates: int, *overrides: str) -> Case:
    build = partial(training, overrides, updates)
    goal = f"goal >= {least} of a bare loop"
    return Case(f"training, {label}", goal, "images/s", rounds, build)


def _frechet(library: str, cached: bool, least: float) -> Case:
    label = f"Frechet distance, d = 2048{', real factor cached' if cached else ''}"
    goal = f"goal >= {least} times {library}"
    return Case(label, goal, "per second", 2, partial(frechet, library, cached))


NS_GAN = ("experiment=lucic2018/ns_gan", "model.reuse_noise=false")
CASES = (
    _training("28x28 InfoGAN net, batch 64", 0.97, 20, 8, *NS_GAN),
    _training("ring MLP, batch 256", 0.80, 20, 200, "experiment=toy/ns_gan"),
    _training("WGAN-GP, InfoGAN net", 0.95, 6, 2, "experiment=lucic2018/wgan_gp"),
    _training("DRAGAN, InfoGAN net", 0.95, 6, 6, "experiment=lucic2018/dragan"),
    _training("BEGAN, InfoGAN net", 0.95, 6, 3, "experiment=lucic2018/began"),
    Case("batches of 64, Fashion-MNIST", "torchvision + DataLoader", "images/s", 20, batches),
    _frechet("torch-fidelity", False, 1.8),
    _frechet("torchmetrics", False, 1.8),
    _frechet("torch-fidelity", True, 5),
    _frechet("torchmetrics", True, 5),
    Case("Inception features", "goal >= 1 of torch-fidelity's loop", "images/s", 4, extractor),
)


if __name__ == "__main__":
    main()
