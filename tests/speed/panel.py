"""The whole panel on known features against the libraries that give the same numbers."""

import contextlib
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from torchmetrics import Metric

from benchmarks.evaluation.features.base import Features
from benchmarks.evaluation.metrics.frechet import FrechetDistance
from benchmarks.evaluation.metrics.pair_panel import PairPanel

__all__ = ["growth", "panel", "panel_memory"]

D, LATENT, COUNT = 2048, 16, 10_000
SIZES = (1_000, 5_000, 10_000, 20_000, 50_000)
Numbers = dict[str, float]


def features(count: int) -> tuple[Tensor, Tensor]:
    """Return real and generated features (count, D), float32, of full rank and not alike."""
    rng = torch.Generator().manual_seed(0)
    mix = torch.randn(LATENT, D, generator=rng) / LATENT**0.5

    def draw(scale: float) -> Tensor:
        codes, noise = (torch.randn(count, d, generator=rng) for d in (LATENT, D))
        return (scale * codes @ mix + 0.1 * noise).relu()

    return draw(1.0), draw(0.8)


def panel() -> Iterator[str]:
    """Yield lines: seconds of ours, of each library, and the ratio; the numbers must agree."""
    with _all_cores():
        ours_of(*features(D + 1))  # warms up
        real, fake = features(COUNT)
        numbers, ours = _timed(lambda: ours_of(real, fake))
        yield f"panel, {COUNT:,} + {COUNT:,} features of {D}: ours {ours:.1f} s"
        total = 0.0
        for name, compute in _libraries(real, fake).items():
            theirs, seconds = _timed(compute)
            total += seconds
            for key, value in theirs.items():
                tolerance = 1e-3 if key in SHARES else 1e-4 * abs(value)
                assert abs(numbers[key] - value) <= tolerance, (name, key, numbers[key], value)
            yield f"  {name}: {', '.join(theirs)} in {seconds:.1f} s"
        yield f"  together {total:.1f} s, ratio {total / ours:.1f} (goal >= 5; 1 round)"


SHARES = ("precision", "recall", "density", "coverage")


def ours_of(real: Tensor, fake: Tensor) -> Numbers:
    """Return all numbers of the panel."""
    size = min(1000, len(real) // 2)
    metrics: list[Metric] = [PairPanel(3, 5, 100, size, 2020)]
    if len(real) > D:
        metrics.append(FrechetDistance(D))
    found: Numbers = {}
    for metric in metrics:
        for side, x in (("real", real), ("fake", fake)):
            metric.update(Features(x), torch.arange(len(x)), side)
        value = metric.compute()
        several = value if isinstance(value, dict) else {"fid": value}
        found |= {name: float(v) for name, v in several.items()}
    return found


def _libraries(real: Tensor, fake: Tensor) -> dict[str, Callable[[], Numbers]]:
    from prdc import compute_prdc
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric
    from torchmetrics.image.fid import _compute_fid

    def torch_fidelity() -> Numbers:
        moments = (fid_features_to_statistics(x) for x in (fake, real))
        fid = fid_statistics_to_metric(*moments, verbose=False)
        kid = kid_features_to_metric(fake, real, verbose=False)
        prc = prc_features_to_metric(fake, real, verbose=False)
        return {
            "fid": fid["frechet_inception_distance"],
            "kernel_distance": kid["kernel_inception_distance_mean"],
            "precision": prc["precision"],
            "recall": prc["recall"],
        }

    def torchmetrics() -> Numbers:
        first, second = ((x.double().mean(0), x.double().T.cov()) for x in (real, fake))
        return {"fid": float(_compute_fid(*first, *second))}

    def prdc() -> Numbers:
        with contextlib.redirect_stdout(io.StringIO()):
            found = compute_prdc(real.numpy(), fake.numpy(), nearest_k=5)
        return {name: float(found[name]) for name in ("density", "coverage")}

    return {"torch-fidelity": torch_fidelity, "torchmetrics": torchmetrics, "prdc": prdc}


def growth() -> Iterator[str]:
    """Yield a line per number of samples: seconds of our panel."""
    with _all_cores():
        yield f"our panel by the number of real and generated features of {D}"
        for count in SIZES:
            pair = features(count)
            _, seconds = _timed(lambda pair=pair: ours_of(*pair))  # type: ignore[misc]
            note = "" if count > D else f", without FID (needs more than {D})"
            yield f"  {count:>6,}: {seconds:6.1f} s{note}"


def panel_memory() -> str:
    """Return a line: what precision, recall, density and coverage take over the features."""
    script = "from tests.speed.panel import peak_of_panel; import sys; print(peak_of_panel())"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    return (
        f"kernel distance, precision, recall, density, coverage at {COUNT:,} x {COUNT:,}: "
        f"{float(out.stdout) / 2**20:,.0f} MB over the features (goal < 1,000 MB)"
    )


def peak_of_panel() -> int:
    """Return the bytes by which the process grew beyond its features."""
    real, fake = (torch.rand(COUNT, D) for _ in "ab")
    metric = PairPanel(3, 5, 100, 25, 2020)
    metric.update(Features(torch.rand(50, D)), torch.arange(50), "real")
    metric.update(Features(torch.rand(50, D)), torch.arange(50), "fake")
    metric.compute()  # what the libraries themselves take
    before = _peak_rss()
    metric.reset()
    metric.update(Features(real), torch.arange(COUNT), "real")
    metric.update(Features(fake), torch.arange(COUNT), "fake")
    metric.compute()
    return _peak_rss() - before


def _peak_rss() -> int:
    """Return this program's peak in bytes; getrusage would count the caller's before exec."""
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x)
    return int(line.split()[1]) * 1024


def _timed(compute: Callable[[], Numbers]) -> tuple[Numbers, float]:
    began = time.perf_counter()
    found = compute()
    return found, time.perf_counter() - began


@contextlib.contextmanager
def _all_cores() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    yield
    torch.set_num_threads(threads)
