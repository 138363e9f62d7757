"""What `from benchmarks import load_run, score` gives: a run's model, and a score of images."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from benchmarks.core.environment import exact_arithmetic
from benchmarks.core.errors import UserError
from benchmarks.evaluation.default_protocol import default_protocol
from benchmarks.evaluation.images_from_disk import GivenImages, Images, images_of, read_files
from benchmarks.evaluation.opening import default_device, load_model, open_run
from benchmarks.evaluation.protocols.samples import SampleProtocol
from benchmarks.evaluation.scoring import build_protocols
from benchmarks.evaluation.sources import TensorSource
from benchmarks.runs.record import Record
from lit_models.base import LitGenerativeModel

__all__ = ["LoadedRun", "Scores", "check_against", "load_run", "score"]


@dataclass(frozen=True)
class LoadedRun:
    """A run that was opened again.

    Attributes:
        model: In eval mode, its parameters without gradients.
        config: The run's config.
        record: Its record, scores included.
        images_seen: How far the checkpoint was trained.
    """

    model: LitGenerativeModel
    config: DictConfig
    record: Record
    images_seen: int


class Scores(dict[str, float]):
    """Values by name, with the protocol that gives them their meaning.

    Attributes:
        protocol: Its name, which states the counts.
        fingerprint: SHA-256 of what it measures.
    """

    def __init__(self, values: dict[str, float], protocol: str, fingerprint: str) -> None:
        super().__init__(values)
        self.protocol, self.fingerprint = protocol, fingerprint

    def __repr__(self) -> str:
        return f"{self.protocol}: {super().__repr__()}"


def load_run(
    folder: str | Path,
    checkpoint: str = "last",
    weights: str | None = None,
    device: str | torch.device = "cpu",
) -> LoadedRun:
    """Open a run's folder: `load_run(folder).model.sample(64)`.

    Checkpoints are read as tensors and plain values only, and refused if of another run.

    Args:
        folder: The run's folder.
        checkpoint: "last", "best" (where the run kept it), or the images_seen of a snapshot.
        weights: "raw" or "ema"; None for the run's.
        device: Where the model is put.

    Raises:
        ValueError: if the folder is no run, or the checkpoint or the weights do not exist.
    """
    with _value_errors():
        run, cfg = open_run(Path(folder).expanduser())
        record = run.record()
        assert record is not None
        model, images_seen = load_model(cfg, run, checkpoint, device)
        model.weights = weights or cfg.weights
    return LoadedRun(model.requires_grad_(False), cfg, record, images_seen)


def score(
    images: np.ndarray | Tensor | str | Path,
    against: np.ndarray | Tensor | str | Path,
    protocol: str | None = None,
    value_range: Sequence[float] | None = None,
    against_range: Sequence[float] | None = None,
    device: str | torch.device | None = None,
) -> Scores:
    """Score images against others under a protocol; nothing is written.

    Either side is a folder of image files, an npz with `images`, or an array: uint8 or floats,
    (N, H, W), (N, H, W, C) or (N, C, H, W) with C of 1 or 3.

    Args:
        images: What is scored.
        against: The real images.
        protocol: One whose name states its counts; a name with other counts than a file's is that
            measurement with those (fd_lenet_500_test400). None for a Frechet distance that fits
            all images of both sides, which the result names.
        value_range: Lowest and highest value of a pixel of `images`; None where an npz states it
            or the pixels leave no doubt (uint8 or floats that reach 128 are in [0, 255]).
        against_range: The same of `against`.
        device: Where it is computed; None for a GPU where there is one.

    Raises:
        ValueError: if images are unreadable, in doubt, too few, or do not fit the protocol.
    """
    exact_arithmetic()
    with _value_errors():
        found = _read(images, "images", value_range)
        data = GivenImages(_read(against, "against", against_range), "against")
        data.setup()
        source = TensorSource(found.pixels, found.num_levels, 0, device or default_device())
        name = check_against(source, data, protocol)
        built = build_protocols([name])[name]
        built.protocol.check(source, data)
        prepared = built.protocol.prepare(data, source.device, None, name)
        values = built.protocol.measure(source, data, prepared, name)
    return Scores(values, name, built.fingerprint)


def check_against(source: TensorSource, data: GivenImages, protocol: str | None) -> str:
    """Return the name of the protocol by which images are compared with others; None finds one.

    Raises:
        ValueError: if shapes differ, images are too few, or the protocol needs more than two sets
            of images.
    """
    shapes = tuple(source.images.shape[1:]), data.shape
    if shapes[0] != shapes[1]:
        raise ValueError(f"both sides must have one shape, got {shapes[0]} against {shapes[1]}")
    if protocol is None:
        found, tried = default_protocol(data, source)
        if found is None:
            raise ValueError(f"no protocol fits these images ({tried})")
        return found
    kind = build_protocols([protocol])[protocol].protocol
    if not isinstance(kind, SampleProtocol) or kind.with_train:
        raise ValueError(
            f"protocol {protocol} must compare samples with real images and nothing else, got one "
            "that needs a data set or a model"
        )
    counts = {"images": len(source.images), "against": len(data.images)}
    for side, needed in (("images", kind.num_samples), ("against", kind.num_real)):
        if counts[side] < needed:
            raise ValueError(
                f"protocol {protocol} needs {needed} images on the side of {side}, got "
                f"{counts[side]} (its name with other counts, such as NAME_{counts['images']}_"
                f"{kind.real_split}{counts['against']}, is the same measurement with those)"
            )
    return protocol


def _read(
    images: np.ndarray | Tensor | str | Path, name: str, value_range: Sequence[float] | None
) -> Images:
    if isinstance(images, str | Path):
        return read_files(Path(images).expanduser(), value_range)
    return images_of(images, name, value_range)


@contextmanager
def _value_errors() -> Iterator[None]:
    """Make of a mistake what Python has for it."""
    try:
        yield
    except UserError as error:
        raise ValueError(str(error)) from error
