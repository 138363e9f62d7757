"""`dgmbench pictures RUN`: what numbers do not show; each a function of run and seed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.compose import compose_group
from benchmarks.coverage_protocol import KnownModes
from benchmarks.environment import exact_arithmetic
from benchmarks.errors import UserError, user_errors
from benchmarks.evaluate import load_model, open_run
from benchmarks.features.base import Extractor
from benchmarks.instantiate import instantiate
from benchmarks.metrics.neighbours import nearest_few
from benchmarks.protocols import SampleProtocol
from benchmarks.sources import ModelSource, TensorSource
from datamodules.base import DataModule
from lit_models.base import LitGenerativeModel
from lit_models.callbacks.sample_grids import image_grid, sampling, save_png
from lit_models.noise import Noise, fold_seed

__all__ = ["arithmetic", "draw_pictures", "interpolate", "neighbours", "scatter"]

SEED = 42
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
    config_dirs: Sequence[str] = (),
) -> list[Path]:
    """Write all pictures that a run allows into its folder `pictures/<checkpoint>`.

    Args:
        folder: The run's folder.
        protocol: Whose extractor says what is near and of which class; None for the first of the
            run's protocols that has one.
        checkpoint: "last", "best", or the images_seen of a snapshot.
        weights: "raw" or "ema"; None for the experiment's.
        classes: a, b, c of the arithmetic a - b + c; empty for the three commonest.
        config_dirs: The user's own config folders.

    Raises:
        UserError: if the folder is no run, or a setting does not fit.
    """
    run, cfg = open_run(folder)
    torch.set_num_threads(cfg.threads)
    exact_arithmetic()
    with user_errors(ValueError, OSError):
        datamodule = instantiate(cfg.datamodule, "datamodule")
        datamodule.setup()
        model, _ = load_model(cfg, run, checkpoint)
        model.weights = weights or cfg.weights
        target = run.folder / "pictures" / checkpoint
        target.mkdir(parents=True, exist_ok=True)
        extractor = None
        if datamodule.num_levels is not None:
            extractor = _extractor(protocol, cfg.protocols, config_dirs)
        paths = []
        for name, picture in _pictures(model, datamodule, extractor, classes):
            save_png(picture, target / f"{name}.png")
            paths.append(target / f"{name}.png")
    return paths


def _extractor(
    protocol: str | None, own: Sequence[str], config_dirs: Sequence[str]
) -> Extractor | None:
    for name in [protocol] if protocol else own:
        built = instantiate(
            compose_group("protocol", name, config_dirs=config_dirs), f"protocol {name}"
        )
        if isinstance(built, SampleProtocol):
            return built.extractor
    if protocol:
        raise UserError(f"protocol must have an extractor, got {protocol}")
    return None


def _pictures(
    model: LitGenerativeModel,
    datamodule: DataModule,
    extractor: Extractor | None,
    classes: Sequence[int],
) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(datamodule, KnownModes):
        points = ModelSource(model)(range(2500), torch.Generator().manual_seed(SEED))
        yield "modes", scatter(points.cpu().numpy(), datamodule.modes, 3 * datamodule.std)
    if datamodule.num_levels is None:
        return
    if model.prior is not None:
        yield "interpolation_linear", interpolate(model, spherical=False)
        yield "interpolation_spherical", interpolate(model, spherical=True)
    if extractor is not None:
        yield "neighbours", neighbours(model, datamodule, extractor)
        found = None if model.prior is None else arithmetic(model, extractor, classes)
        if found is not None:
            yield "arithmetic", found
    elif classes:
        raise UserError("classes must come with a protocol that has a classifier")


def neighbours(
    model: LitGenerativeModel, datamodule: DataModule, extractor: Extractor
) -> np.ndarray:
    """Return rows of a sample and its nearest training images, by features; nearest first."""
    samples = ModelSource(model)(range(ROWS), torch.Generator().manual_seed(SEED))
    train = TensorSource(datamodule.split("train")[0], datamodule.num_levels, SEED, samples.device)
    count = len(train.images)
    parts = [range(at, min(at + CHUNK, count)) for at in range(0, count, CHUNK)]
    known = torch.cat([extractor(train(part, torch.Generator())).pooled for part in parts])
    center = known.mean(0)
    _, index = nearest_few(extractor(samples).pooled - center, known - center, FEW)
    rows = []
    for sample, nearby in zip(samples, index.tolist(), strict=True):
        rows += [sample[None]] + [train(range(i, i + 1), torch.Generator()) for i in nearby]
    return image_grid(torch.cat(rows), columns=1 + FEW)


def interpolate(model: LitGenerativeModel, spherical: bool) -> np.ndarray:
    """Return rows from one code to another, on a line or on an arc.

    The arc is Shoemake's (1985): sin((1 - t) a) / sin a z_0 + sin(t a) / sin a z_1 for the angle a
    between the codes; it keeps the length that high-dimensional codes have (White, 2016,
    https://arxiv.org/abs/1609.04468).
    """
    assert model.prior is not None
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


def arithmetic(
    model: LitGenerativeModel, extractor: Extractor, classes: Sequence[int] = ()
) -> np.ndarray | None:
    """Return rows of exemplars of classes a, b, c with their average, and of a - b + c.

    Radford et al., 2016, https://arxiv.org/abs/1511.06434, Sec. 6.3.2: the codes of three
    exemplars are averaged, the averages added and subtracted. The last row begins with the result;
    beside it are results with noise of up to .25 on the code, as there. Exemplars are the samples
    that the classifier is surest of. None where the extractor has no classifier, or fewer than
    three classes have exemplars.

    Raises:
        ValueError: if a class asked for has too few samples.
    """
    assert model.prior is not None
    codes, logits = [], []
    for i in range(8):
        noise = Noise(torch.Generator().manual_seed(fold_seed(SEED, i)), model.device, model.dtype)
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


def scatter(points: np.ndarray, modes: np.ndarray, radius: float) -> np.ndarray:
    """Return points (N, 2) with a ring around each mode: green where covered, red where not."""
    from PIL import Image, ImageDraw

    reach = 1.2 * np.abs(modes).max() + radius
    figure = Image.new("RGB", (SCATTER, SCATTER), "white")
    draw = ImageDraw.Draw(figure)

    def place(point: np.ndarray) -> tuple[float, float]:
        x, y = (point / reach + 1) / 2 * SCATTER
        return float(x), float(SCATTER - y)

    distance = np.linalg.norm(points[:, None] - modes[None], axis=2)
    for point in points[(np.abs(points) <= reach).all(1)]:
        x, y = place(point)
        draw.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), fill=BLUE)
    ring = max(radius / (2 * reach) * SCATTER, 8)
    own = distance.argmin(1)
    for k, mode in enumerate(modes):
        covered = bool((distance[own == k, k] <= radius).any())
        x, y = place(mode)
        draw.ellipse((x - ring, y - ring, x + ring, y + ring), None, GREEN if covered else RED, 2)
    return np.asarray(figure)


def _decoded(model: LitGenerativeModel, z: Tensor) -> Tensor:
    with sampling(model):
        return torch.cat([model.to_images(model.decode(part)) for part in z.split(CHUNK)])
