"""What likelihood models cost: sampling with and without memory, LSTMs, a bound's memory."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.config.compose import compose
from benchmarks.config.instantiate import instantiate
from lit_models.autoregressive.sampling import sample_in_raster_order, sample_naively
from lit_models.training.noise import Noise

__all__ = ["likelihoods"]

IMAGES, PIXELS = 16, 32
SHAPE = (1, 28, 28)
MNIST = "datamodule=binarized_mnist_static"
NETWORKS = (  # label, goal, overrides
    ("PixelCNN, 15 layers", "", ("experiment=oord2016/pixelcnn", MNIST)),
    ("Row LSTM, 7 layers", "", ("experiment=oord2016/row_lstm", MNIST)),
    ("Diagonal BiLSTM, 7 layers", "", ("experiment=oord2016/diagonal_bilstm", MNIST)),
    ("Gated PixelCNN, 15 layers", ">= 30", ("experiment=oord2016b/gated_pixelcnn", MNIST)),
    (
        "PixelCNN++, 15 layers each way, 64 features",
        ">= 15",
        (
            "experiment=salimans2017/pixelcnn_pp",
            "datamodule.image_shape=[1,28,28]",
            "model.network.features=64",
            "model.network.outputs=30",
        ),
    ),
)
WIDTH = ("model.network.features=128", "model.network.num_blocks=3")
LSTMS = (("Row LSTM", "oord2016/row_lstm", 3), ("Diagonal BiLSTM", "oord2016/diagonal_bilstm", 8))
ROUNDS = 5
MEMORY = """
import resource
import torch
from benchmarks.config.compose import compose
from benchmarks.config.instantiate import instantiate
from lit_models.callbacks.sample_grids import sampling
torch.set_num_threads(1)
cfg = compose(["experiment=burda2016/vae_1l_k1"]).cfg
model = instantiate(cfg.model, "model")
x = torch.randint(0, 2, ({images}, 1, 28, 28), dtype=torch.uint8)
with sampling(model):
    for k in ({samples},):
        for part in x.split(100):
            model.log_likelihood(part.float(), torch.Generator().manual_seed(0), k)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def likelihoods() -> Iterator[str]:
    """Yield a line per measurement."""
    for label, goal, overrides in NETWORKS:
        yield _sampling(label, goal, overrides)
    yield from _lstms()
    yield _memory()


@torch.no_grad()
def _sampling(label: str, goal: str, overrides: tuple[str, ...]) -> str:
    model = _model(overrides)
    network, likelihood = model.network.eval(), model.likelihood

    def noise() -> Noise:
        return Noise(torch.Generator().manual_seed(0), dtype=torch.float64)

    shape = (IMAGES, *SHAPE)
    total = SHAPE[1] * SHAPE[2]
    cached = _seconds(lambda: sample_in_raster_order(network, likelihood, shape, noise()))
    spaced = [round(i * (total - 1) / (PIXELS - 1)) for i in range(PIXELS)]
    some = _seconds(lambda: sample_naively(network, likelihood, shape, noise(), pixels=spaced))
    naive = some * total / PIXELS
    return (
        f"sampling, {label}: {IMAGES} images of 28x28 in {cached:.1f} s, naively in "
        f"{naive:,.0f} s (extrapolated from {PIXELS} pixels), ratio {naive / cached:.0f}"
        + (f" (goal {goal})" if goal else "")
    )


def _lstms() -> Iterator[str]:
    """Compare training steps with those of the PixelCNN of equal width and depth."""
    x = torch.randint(0, 2, (16, *SHAPE))
    steps = {"PixelCNN": _step("oord2016/pixelcnn", x)}
    steps |= {label: _step(experiment, x) for label, experiment, _ in LSTMS}
    seconds: dict[str, list[float]] = {label: [] for label in steps}
    for _ in tqdm(range(ROUNDS + 1), desc="LSTM steps", leave=False, disable=None):
        for label, step in steps.items():
            seconds[label].append(_seconds(step))
    base = seconds["PixelCNN"][1:]
    for label, _, most in LSTMS:
        ratio = statistics.median(a / b for a, b in zip(seconds[label][1:], base, strict=True))
        yield (
            f"training step, {label}, 3 layers of 64 features: {ratio:.2f} times the PixelCNN's "
            f"{statistics.median(base):.3f} s (goal <= {most})"
        )


def _step(experiment: str, x: torch.Tensor) -> Callable[[], Any]:
    model = _model((f"experiment={experiment}", MNIST, *WIDTH, "model.network.head_features=128"))
    optimizer = torch.optim.SGD(model.network.parameters(), lr=0.0)

    def step() -> None:
        optimizer.zero_grad()
        (-model.likelihood.log_prob(x, model.network(x)).mean()).backward()
        optimizer.step()

    return step


def _memory() -> str:
    """Measure a bound of 5,000 samples on one chunk after another, in a process of its own."""
    code = MEMORY.format(samples=5000, images=300)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    peak = int(done.stdout.split()[-1]) / 2**10
    return (
        f"bound of 5,000 samples, 300 images, 100 at a time: peak {peak:,.0f} MB of the "
        "process (goal < 2,000)"
    )


def _model(overrides: tuple[str, ...]) -> Any:
    torch.manual_seed(0)
    return instantiate(compose(list(overrides)).cfg.model, "model")


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
