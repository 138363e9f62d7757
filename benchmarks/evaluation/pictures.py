"""`dgmbench pictures RUN`: what numbers do not show; each a function of run and seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from benchmarks.config.compose import compose_group
from benchmarks.config.instantiate import instantiate
from benchmarks.core.environment import exact_arithmetic
from benchmarks.core.errors import UserError, user_errors
from benchmarks.core.seeds import chunk_seed
from benchmarks.evaluation.features.base import Extractor
from benchmarks.evaluation.features.cache import FeatureCache
from benchmarks.evaluation.latent_figure import latent_figure
from benchmarks.evaluation.metrics.mode_coverage import ModeCoverage
from benchmarks.evaluation.metrics.neighbours import nearest_few
from benchmarks.evaluation.opening import checkpoints_of, load_model, open_run
from benchmarks.evaluation.protocols.base import Protocol
from benchmarks.evaluation.protocols.modes import KnownModes
from benchmarks.evaluation.protocols.samples import SampleProtocol, in_order, split_features
from benchmarks.evaluation.scoring import feature_cache
from benchmarks.evaluation.sources import ModelSource, own_chunks, real_source
from datamodules.base import DataModule
from lit_models.callbacks.sample_grids import image_grid, model_grids, sampling, save_png
from lit_models.capabilities import HasCodes, HasStochasticLayers, has
from lit_models.training.noise import Noise

__all__ = ["arithmetic", "draw_pictures", "interpolate", "neighbours", "scatter"]

SEED = 42
MODES = "modes_2500"
LATENTS = "latents_test"
ROWS, STEPS, FEW = 8, 10, 5
CHUNK = 250
EXEMPLARS = 3  # per concept, as in Radford et al., 2016
SCATTER, DOT = 640, 2  # pixels
GREEN, RED, BLUE = (0, 140, 60), (210, 40, 40), (60, 90, 200)


def draw_pictures(
    folder: Path,
    protocol: str | None,
    checkpoint: str = "last",
    weights: str | None = None,
    classes: Sequence[int] = (),
) -> list[Path]:
    """Write all pictures that a run allows into its folder `pictures/<checkpoint>`.

    Args:
        folder: The run's folder.
        protocol: Whose extractor says what is near and of which class; None for the first of the
            run's protocols that has one.
        checkpoint: "last", "best", the images_seen of a snapshot, or "all" snapshots and the last.
        weights: "raw" or "ema"; None for the experiment's.
        classes: a, b, c of the arithmetic a - b + c; empty for the three commonest.

    Raises:
        UserError: if the folder is no run, or a setting does not fit.
    """
    run, cfg = open_run(folder)
    torch.set_num_threads(cfg.threads)
    exact_arithmetic()
    with user_errors(ValueError, OSError):
        datamodule = instantiate(cfg.datamodule, "datamodule")
        datamodule.setup()
        near = _near(protocol, cfg.protocols, datamodule)
        if classes and (near is None or datamodule.num_levels is None):
            raise UserError("classes must come with images and a protocol that has a classifier")
        paths = []
        for at in checkpoints_of(run, checkpoint):
            model, _ = load_model(cfg, run, at)
            model.weights = weights or cfg.weights
            for name, picture in _pictures(model, datamodule, near, classes):
                paths.append(run.folder / "pictures" / at / f"{name}.png")
                save_png(picture, paths[-1])
    return paths


@dataclass(frozen=True)
class Near:
    """What says which images are near, and of which class.

    Attributes:
        extractor: The extractor of features.
        cache: Where those of the data are kept.
        seed: The seed of the order in which they are kept.
        chunk_size: Images at a time.
    """

    extractor: Extractor
    cache: FeatureCache
    seed: int
    chunk_size: int


def _near(protocol: str | None, own: Sequence[str], data: DataModule) -> Near | None:
    for name in [protocol] if protocol else own:
        cfg = compose_group("protocol", name)
        built = instantiate(cfg, f"protocol {name}")
        if isinstance(built, SampleProtocol):
            cache = feature_cache(cfg.extractor, built.extractor, data)
            return Near(built.extractor, cache, built.seed, built.chunk_size)
    if protocol:
        raise UserError(f"protocol must have an extractor, got {protocol}")
    return None


def _pictures(
    model: Any, datamodule: DataModule, near: Near | None, classes: Sequence[int]
) -> Iterator[tuple[str, np.ndarray]]:
    if has(datamodule, KnownModes):
        yield "modes", _modes(model, datamodule)
    if datamodule.num_levels is None:
        return
    yield from model_grids(model, datamodule, torch.Generator().manual_seed(SEED)).items()
    if has(model, HasStochasticLayers):
        latents: Protocol = instantiate(compose_group("protocol", LATENTS), f"protocol {LATENTS}")
        yield (
            "latents",
            latent_figure(latents.measure(ModelSource(model), datamodule, None, LATENTS)),
        )
    if has(model, HasCodes):
        yield "interpolation_linear", interpolate(model, spherical=False)
        yield "interpolation_spherical", interpolate(model, spherical=True)
    if near is None:
        return
    yield "neighbours", neighbours(model, datamodule, near)
    has_codes = has(model, HasCodes)
    found = arithmetic(model, near.extractor, classes) if has_codes else None
    if found is not None:
        yield "arithmetic", found
    elif classes:
        raise UserError("classes must come with a model of codes and a classifier")


def _modes(model: Any, datamodule: KnownModes) -> np.ndarray:
    """Draw the samples that `modes_2500` scores, and what it counts as covered."""
    protocol = instantiate(compose_group("protocol", MODES), f"protocol {MODES}")
    metric = ModeCoverage(
        datamodule.modes, datamodule.std, protocol.num_std, protocol.kl_of_high_quality
    )
    chunks = own_chunks(protocol.num_samples, protocol.chunk_size, protocol.seed, MODES)
    x = torch.cat([ModelSource(model)(index, generator).cpu() for index, generator in chunks])
    metric.update(_finite(x))
    return scatter(x.numpy(), datamodule.modes, metric.radius, (metric.nearby > 0).numpy())


def neighbours(model: Any, datamodule: DataModule, near: Near) -> np.ndarray:
    """Return rows of a sample and its nearest training images, by features; nearest first."""
    samples = _finite(ModelSource(model)(range(ROWS), torch.Generator().manual_seed(SEED)))
    train = real_source(datamodule, "train", near.seed)
    count = len(train.images)
    parts = split_features(
        near.extractor,
        train,
        "train",
        count,
        near.seed,
        near.chunk_size,
        near.cache,
        samples.device,
        "training images",
    )
    known = in_order(parts, samples.device)
    _, index = nearest_few(near.extractor(samples).pooled, known.pooled, FEW)
    rows = []
    for sample, nearby in zip(samples.cpu(), index.tolist(), strict=True):
        rows += [sample[None]] + [train(range(i, i + 1), torch.Generator()) for i in nearby]
    return image_grid(torch.cat(rows), columns=1 + FEW)


def interpolate(model: Any, spherical: bool) -> np.ndarray:
    """Return rows from one code to another, on a line or on an arc.

    The arc is Shoemake's (1985): sin((1 - t) a) / sin a z_0 + sin(t a) / sin a z_1 for the angle a
    between the codes; it keeps the length that high-dimensional codes have (White, 2016,
    https://arxiv.org/abs/1609.04468).
    """
    noise = Noise(torch.Generator().manual_seed(SEED), model.device, model.dtype)
    begin, end = model.prior(noise, 2 * ROWS).chunk(2)
    t = torch.linspace(0, 1, STEPS, device=model.device, dtype=model.dtype)[None, :, None]
    one, other = 1 - t, t
    if spherical:
        cosine = torch.cosine_similarity(begin, end, dim=1).clamp(-1 + 1e-6, 1 - 1e-6)
        angle = cosine.arccos()[:, None, None]
        one, other = (one * angle).sin() / angle.sin(), (other * angle).sin() / angle.sin()
    codes = one * begin[:, None] + other * end[:, None]
    return image_grid(_decoded(model, codes.flatten(0, 1)), columns=STEPS)


def arithmetic(model: Any, extractor: Extractor, classes: Sequence[int] = ()) -> np.ndarray | None:
    """Return rows of exemplars of classes a, b, c with their average, and of a - b + c.

    Radford et al., 2016, https://arxiv.org/abs/1511.06434, Sec. 6.3.2: the codes of three
    exemplars are averaged, the averages added and subtracted. The last row begins with the result;
    beside it are results with noise of up to .25 on the code, as there. Exemplars are the samples
    that the classifier is surest of. None where the extractor has no classifier, or fewer than
    three classes have exemplars.

    Raises:
        ValueError: if a class asked for has too few samples.
    """
    codes, logits = [], []
    for i in range(8):
        noise = Noise(
            torch.Generator().manual_seed(chunk_seed(SEED, i)), model.device, model.dtype
        )
        z = model.prior(noise, CHUNK)
        features = extractor(_decoded(model, z))
        if features.logits is None:
            return None
        codes.append(z)
        logits.append(features.logits)
    z, p = torch.cat(codes), torch.cat(logits).softmax(1)
    counts = p.argmax(1).bincount(minlength=p.shape[1])
    _check_classes(classes, counts)
    chosen = list(classes) or counts.argsort(descending=True)[:3].tolist()
    if int(counts[chosen].min()) < EXEMPLARS:
        return None
    rows, averages = [], []
    for label in chosen:
        own = (p.argmax(1) == label).nonzero()[:, 0]
        best = z[own[p[own, label].argsort(descending=True)[:EXEMPLARS]]]
        averages.append(best.mean(0, keepdim=True))
        rows += [best, averages[-1]]
    result = averages[0] - averages[1] + averages[2]
    noise = Noise(torch.Generator().manual_seed(SEED), model.device, model.dtype)
    nearby = 0.5 * noise((EXEMPLARS, result.shape[1]), "uniform") - 0.25
    return image_grid(_decoded(model, torch.cat([*rows, result, result + nearby])), EXEMPLARS + 1)


def _check_classes(classes: Sequence[int], counts: Tensor) -> None:
    if classes and len(classes) != 3:
        raise ValueError(f"classes must be three, a,b,c of a - b + c, got {len(classes)}")
    for label in classes:
        if not 0 <= label < len(counts):
            raise ValueError(f"classes must be in 0 .. {len(counts) - 1}, got {label}")
        if counts[label] < EXEMPLARS:
            raise ValueError(
                f"class {label} must have at least {EXEMPLARS} among {int(counts.sum())} samples, "
                f"got {int(counts[label])}"
            )


def scatter(
    points: np.ndarray, modes: np.ndarray, radius: float, covered: np.ndarray
) -> np.ndarray:
    """Return points (N, 2) with a ring around each mode: green where covered, red where not."""
    reach = 1.2 * np.abs(modes).max() + radius
    figure = Image.new("RGB", (SCATTER, SCATTER), "white")
    draw = ImageDraw.Draw(figure)

    def place(point: np.ndarray) -> tuple[float, float]:
        x, y = (point / reach + 1) / 2 * SCATTER
        return float(x), float(SCATTER - y)

    for point in points[(np.abs(points) <= reach).all(1)]:
        x, y = place(point)
        draw.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), fill=BLUE)
    ring = max(radius / (2 * reach) * SCATTER, 8)
    for mode, is_covered in zip(modes, covered, strict=True):
        x, y = place(mode)
        colour = GREEN if is_covered else RED
        draw.ellipse((x - ring, y - ring, x + ring, y + ring), None, colour, 2)
    return np.asarray(figure)


def _decoded(model: Any, z: Tensor) -> Tensor:
    with sampling(model):
        parts = [model.to_images(model.decode(part)) for part in z.split(CHUNK)]
    return _finite(torch.cat(parts))


def _finite(x: Tensor) -> Tensor:
    if not bool(x.isfinite().all()):
        raise ValueError("samples are not finite")
    return x
