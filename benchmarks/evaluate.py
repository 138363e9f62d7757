"""A run's checkpoint, or images made elsewhere -> metrics under a named protocol -> a record."""

import dataclasses
import hashlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from benchmarks.compose import compose_group
from benchmarks.environment import code_state, exact_arithmetic, library_versions
from benchmarks.errors import UserError, user_errors
from benchmarks.evaluation_ids import images_run_id, protocol_fingerprint
from benchmarks.features.base import Features, Remembered
from benchmarks.features.cache import FeatureCache
from benchmarks.identity import fingerprint, run_id
from benchmarks.instantiate import instantiate
from benchmarks.paths import cache_dir, check_writable, outputs_dir
from benchmarks.protocols import SampleProtocol
from benchmarks.records import Evaluation, Record
from benchmarks.runs import Run
from benchmarks.sources import ImageSource, ModelSource, TensorSource
from datamodules.base import DataModule
from datamodules.npz import read_arrays
from lit_models.base import LitGenerativeModel
from lit_models.callbacks.checkpoints import (
    CheckpointError,
    find_checkpoint,
    find_snapshots,
    load_checkpoint,
    snapshot_path,
)
from lit_models.callbacks.monitor import DivergedError
from lit_models.callbacks.sample_grids import image_grid, save_png

__all__ = [
    "Memory",
    "describe",
    "evaluate",
    "evaluate_images",
    "evaluate_run",
    "load_into",
    "load_model",
]

DTYPES = {"64-true": torch.float64, "bf16-true": torch.bfloat16, "16-true": torch.float16}
SPLITS = ("train", "validation", "test")
Memory = dict[str, dict[bytes, Features]]  # by extractor


def evaluate(
    source: ImageSource,
    datamodule: DataModule,
    name: str,
    checkpoint: str,
    images_seen: int,
    weights: str = "raw",
    config_dirs: Sequence[str] = (),
    memory: Memory | None = None,
) -> Evaluation:
    """Score a source under a protocol; every process of a group must call this.

    Args:
        source: Of samples.
        datamodule: Set up.
        name: Of the protocol.
        checkpoint: What is scored, as recorded.
        images_seen: Of the checkpoint.
        weights: "raw" or "ema", as recorded.
        config_dirs: The user's own config folders.
        memory: Shared by the protocols that score this source, so that those with the same
            extractor compute features once; None to keep nothing.
    """
    cfg = compose_group("protocol", name, config_dirs=config_dirs)
    protocol = instantiate(cfg, f"protocol {name}")
    cache = None
    if isinstance(protocol, SampleProtocol):
        described = OmegaConf.to_container(cfg.extractor, resolve=True)
        if memory is not None:
            known = memory.setdefault(fingerprint(described), {})
            extractor = Remembered(protocol.extractor, known)
            protocol = dataclasses.replace(protocol, extractor=extractor)
        data = [str(datamodule.found_fingerprint), datamodule.validation_size]
        cache = FeatureCache(cache_dir() / "real_features", described, data)
    protocol.check(source, datamodule)
    began = time.monotonic()
    metrics = protocol.run(source, datamodule, cache, label=name)
    return Evaluation(
        protocol=name,
        fingerprint=protocol_fingerprint(cfg),
        checkpoint=checkpoint,
        weights=weights,
        images_seen=images_seen,
        metrics=dict(metrics),
        attributes=protocol.attributes(source),
        seconds=round(time.monotonic() - began, 3),
    )


def evaluate_run(
    folder: Path,
    protocols: Sequence[str],
    checkpoint: str = "last",
    weights: str | None = None,
    config_dirs: Sequence[str] = (),
) -> Record:
    """Score a checkpoint of a run and append to its record; nothing is trained.

    Args:
        folder: The run's folder.
        protocols: Names.
        checkpoint: "last", or the images_seen of a snapshot.
        weights: "raw" or "ema"; None for the experiment's.
        config_dirs: The user's own config folders.

    Raises:
        UserError: if the folder is no run, the checkpoint does not fit, or another process is at
            this run.
    """
    run = Run(folder)
    if not (run.record_path.exists() and run.config_path.exists()):
        raise UserError(
            f"RUN must be a run's folder (with record.json and config.yaml), got {folder}"
        )
    cfg = OmegaConf.load(run.config_path)
    assert isinstance(cfg, DictConfig)
    torch.set_num_threads(cfg.threads)
    exact_arithmetic()
    with run.locked(), user_errors(ValueError, OSError, DivergedError):
        record = run.record()
        assert record is not None
        datamodule = instantiate(cfg.datamodule, "datamodule")
        datamodule.setup()
        model, images_seen = load_model(cfg, run, checkpoint)
        model.weights = weights or cfg.weights
        if record.status != "finished":  # its last checkpoint is not the run's last
            checkpoint = str(images_seen)
        memory: Memory | None = {} if len(protocols) > 1 else None
        for name in protocols:
            result = evaluate(
                ModelSource(model),
                datamodule,
                name,
                checkpoint,
                images_seen,
                model.weights,
                config_dirs,
                memory,
            )
            record.add(result)
            record.write(run.record_path)
    return record


def load_model(cfg: DictConfig, run: Run, checkpoint: str) -> tuple[LitGenerativeModel, int]:
    """Return the model of a checkpoint, and its images_seen.

    Raises:
        CheckpointError: if there is none, or it does not belong to this config.
    """
    model: LitGenerativeModel = instantiate(cfg.model, "model")
    model.to(DTYPES.get(cfg.precision, torch.float32))
    images_seen = load_into(model, run.checkpoints, checkpoint, run_id(cfg))
    return model.eval().to(_device()), images_seen


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def load_into(model: LitGenerativeModel, folder: Path, checkpoint: str, run_id: str) -> int:
    """Load what sampling needs of a checkpoint, "last" or a snapshot's; return its images_seen.

    Raises:
        CheckpointError: if there is none, or it does not belong to this model.
    """
    state = None
    if checkpoint == "last":
        found = find_checkpoint(folder, run_id)
        state = found[1] if found else None
    elif (path := snapshot_path(folder, checkpoint)).exists():
        state = load_checkpoint(path, run_id)
    if state is None:
        known = ", ".join(["last", *map(str, find_snapshots(folder))])
        raise CheckpointError(
            f"checkpoint must be one of {known}, got {checkpoint!r} (none such in {folder})"
        )
    missing, unexpected = model.load_state_dict(state["state_dict"], strict=False)
    if unexpected or set(missing) & set(model.sampling_state()):
        raise CheckpointError(f"checkpoint {checkpoint!r} does not hold this model's weights")
    return state["images_seen"]


def evaluate_images(
    images: str,
    composed_data: DictConfig,
    protocols: Sequence[str],
    config_dirs: Sequence[str] = (),
) -> Record:
    """Score a split of the data, a folder of images, or an npz under protocols.

    The record stands in outputs/images/<dataset>/<id>/.

    Args:
        images: "train", "validation", "test", a folder of PNGs, or an npz with `images`
            (uint8, NHW or NHWC).
        composed_data: The data set to compare with.
        protocols: Names.
        config_dirs: The user's own config folders.

    Raises:
        UserError: if the images are absent, unreadable, too few, or do not fit.
    """
    torch.set_num_threads(1)
    exact_arithmetic()
    with user_errors(ValueError, OSError):
        datamodule = instantiate(composed_data, "datamodule")
        datamodule.setup()
        pixels, levels, name = _images(images, datamodule)
        source = TensorSource(pixels, levels, seed=0, device=_device())
        key = images if images in SPLITS else hashlib.sha256(pixels.numpy().tobytes()).hexdigest()
        identifier = images_run_id(key, composed_data)
        run = Run(outputs_dir() / "images" / datamodule.name / identifier)
        check_writable(run.folder)
        record = run.record() or Record(
            experiment="images",
            dataset=datamodule.name,
            run_id=run.id,
            seed=0,
            status="finished",
            method=f"images: {name}",
            config={"images": name},
            code=code_state(),
            data_fingerprint=datamodule.found_fingerprint,
            data_pinned=datamodule.fingerprint is not None,
            versions=library_versions(),
            started=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        memory: Memory | None = {} if len(protocols) > 1 else None
        for protocol in protocols:
            result = evaluate(
                source, datamodule, protocol, "images", 0, "raw", config_dirs, memory
            )
            record.add(result)
            record.write(run.record_path)
        if levels is not None:
            grid = image_grid(source(range(min(64, len(pixels))), torch.Generator()), columns=8)
            run.samples.mkdir(exist_ok=True)
            save_png(grid, run.samples / "0.png")
    record.ended = datetime.now(UTC).isoformat(timespec="seconds")
    record.write(run.record_path)
    return record


def _images(images: str, datamodule: DataModule) -> tuple[Tensor, int | None, str]:
    """Return levels (N, C, H, W), their number, and a name without a path; or vectors (N, D)."""
    if images in SPLITS:
        return datamodule.split(images)[0], datamodule.num_levels, images
    path = Path(images).expanduser()
    if path.is_dir():
        return _read_folder(path), 256, path.name
    if path.suffix == ".npz" and path.is_file():
        return _levels(read_arrays(path, ["images"])["images"], path), 256, path.name
    raise UserError(
        f"images must be one of {', '.join(SPLITS)}, a folder of PNGs, or an npz, got {images!r}"
    )


def _read_folder(folder: Path) -> Tensor:
    from PIL import Image

    files = sorted(folder.glob("*.png"))
    if not files:
        raise UserError(f"images: {folder} holds no PNG files")
    arrays = [np.asarray(Image.open(f)) for f in files]
    if len({a.shape for a in arrays}) > 1:
        raise UserError(f"images: the PNG files of {folder} differ in shape")
    return _levels(np.stack(arrays), folder)


def _levels(array: np.ndarray, path: Path) -> Tensor:
    if array.dtype != np.uint8 or array.ndim not in (3, 4):
        raise ValueError(
            f"{path} must hold uint8 (N, H, W) or (N, H, W, C), got {array.dtype} {array.shape}"
        )
    array = array[..., None] if array.ndim == 3 else array
    return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))


def describe(record: Record) -> list[str]:
    """Return one line per evaluation, for the terminal."""
    lines = []
    for e in record.evaluations:
        values = ", ".join(
            f"{k} {v:.4g}" if v is not None else f"{k} null" for k, v in e.metrics.items()
        )
        lines.append(f"{e.protocol} [{e.checkpoint}, {e.weights}]: {values}")
    return lines
