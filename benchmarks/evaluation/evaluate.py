"""A run's checkpoint, or images made elsewhere -> metrics under named protocols -> a record."""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from benchmarks.config.compose import compose_group
from benchmarks.config.identity import SPLITS, images_run_id, libraries_of
from benchmarks.config.instantiate import instantiate
from benchmarks.core.environment import code_state, exact_arithmetic, library_versions, now
from benchmarks.core.errors import user_errors
from benchmarks.core.paths import check_writable, outputs_dir
from benchmarks.evaluation.images_from_disk import GivenImages, Images, read_files, read_images
from benchmarks.evaluation.in_python import check_against
from benchmarks.evaluation.opening import (
    check_data,
    checkpoints_of,
    default_device,
    load_model,
    open_run,
)
from benchmarks.evaluation.scoring import Scoring, build_protocols
from benchmarks.evaluation.sources import ModelSource, TensorSource
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Record
from datamodules.base import DataModule
from datamodules.root import name_from
from lit_models.callbacks.monitor import DivergedError
from lit_models.callbacks.sample_grids import image_grid, save_png

__all__ = ["evaluate_against", "evaluate_images", "evaluate_run"]

FAULTS_OF_DATA = (ValueError, TypeError, OSError, MemoryError)


def evaluate_run(
    folder: Path,
    protocols: Sequence[str],
    checkpoint: str = "last",
    weights: str | None = None,
    draws: int = 1,
) -> Record:
    """Score checkpoints of a run and append to its record; nothing is trained.

    Args:
        folder: The run's folder.
        protocols: Names.
        checkpoint: "last", "best" (where a run kept it), the images_seen of a snapshot, or "all"
            snapshots and the last.
        weights: "raw" or "ema"; None for the experiment's.
        draws: Draws of the samples, for the standard error over them.

    Raises:
        UserError: if the folder is no run, the checkpoint does not fit, or another process is at
            this run.
    """
    run, cfg = open_run(folder)
    torch.set_num_threads(cfg.threads)
    exact_arithmetic()
    with run.locked(), user_errors(*FAULTS_OF_DATA, DivergedError):
        record = run.record()
        assert record is not None
        data = instantiate(cfg.datamodule, "datamodule")
        data.setup()
        check_data(record, data)
        scoring = Scoring(data, build_protocols(protocols))
        for at in checkpoints_of(run, checkpoint):
            model, images_seen = load_model(cfg, run, at)
            model.weights = weights or cfg.weights
            if record.status != "finished":  # its last checkpoint is not the run's last
                at = str(images_seen)
            scoring.next_source()
            for name in protocols:
                result = scoring(name, ModelSource(model), at, images_seen, model.weights, draws)
                record.add(result)
                record.write(run.record_path)
    return record


def evaluate_images(
    images: str,
    composed_data: DictConfig,
    protocols: Sequence[str],
    value_range: Sequence[float] | None = None,
    draws: int = 1,
) -> Record:
    """Score a split of the data, a folder of images, or an npz under protocols.

    The record stands in outputs/images/<dataset>/<id>/.

    Args:
        images: "train", "validation", "test", a folder of images, or an npz with `images`
            (uint8 or floats, NHW or NHWC).
        composed_data: The data set to compare with.
        protocols: Names.
        value_range: Lowest and highest value of a pixel; None where the images leave no doubt.
        draws: The number of draws of as many images as a protocol takes.

    Raises:
        UserError: if the images are absent, unreadable, in doubt, too few, or do not fit.
    """
    torch.set_num_threads(1)
    exact_arithmetic()
    with user_errors(*FAULTS_OF_DATA):
        data = instantiate(composed_data, "datamodule")
        data.setup()
        found = read_images(images, data, value_range)
        key = images if images in SPLITS else _digest(found)
        return _evaluate(found, key, data, composed_data, protocols, draws)


def evaluate_against(
    images: str,
    against: str,
    protocols: Sequence[str],
    value_range: Sequence[float] | None = None,
    against_range: Sequence[float] | None = None,
    draws: int = 1,
) -> Record:
    """Score a folder of images, or an npz, against another.

    The record stands in outputs/images/<name of the other>/<id>/.

    Args:
        images: What is scored.
        against: The real images.
        protocols: Names; empty for a Frechet distance that fits all images of both sides.
        value_range: As for `evaluate_images`.
        against_range: The same of the other side.
        draws: As for `evaluate_images`.

    Raises:
        UserError: if images are absent, unreadable, in doubt, too few, or do not fit.
    """
    torch.set_num_threads(1)
    exact_arithmetic()
    with user_errors(*FAULTS_OF_DATA):
        real = read_files(Path(against).expanduser(), value_range=against_range)
        data = GivenImages(real, name_from(against))
        data.setup()
        found = read_files(Path(images).expanduser(), value_range)
        source = TensorSource(found.pixels, found.num_levels, seed=0)
        names = [check_against(source, data, name) for name in protocols or [None]]
        held = OmegaConf.create({"against": data.found_fingerprint, "levels": data.num_levels})
        return _evaluate(found, _digest(found), data, held, names, draws)


def _evaluate(
    found: Images,
    key: str,
    data: DataModule,
    config: DictConfig,
    protocols: Sequence[str],
    draws: int,
) -> Record:
    """Score images against data that are set up, and write their record."""
    for name, left_out in ((data.name, data.left_out), (found.name, found.left_out)):
        if left_out:
            print(f"{name}: {left_out}", file=sys.stderr)
    source = TensorSource(found.pixels, found.num_levels, seed=0, device=default_device())
    run = Run(outputs_dir() / "images" / data.name / images_run_id(key, config))
    check_writable(run.folder)
    with run.locked():
        measured = [compose_group("protocol", name) for name in protocols]
        record = run.record() or Record(
            experiment="images",
            dataset=data.name,
            run_id=run.id,
            seed=0,
            status="finished",
            method=f"images: {found.name}",
            config={"images": found.name, "left_out": found.left_out},
            code=code_state(),
            data_fingerprint=data.found_fingerprint,
            data_pinned=data.fingerprint is not None,
            versions=library_versions(libraries_of(config, *measured)),
            started=now(),
        )
        check_data(record, data)
        scoring = Scoring(data, build_protocols(protocols))
        for protocol in protocols:
            record.add(scoring(protocol, source, "images", 0, draws=draws))
            record.write(run.record_path)
        if found.num_levels is not None:
            count = min(64, len(found.pixels))
            grid = image_grid(source(range(count), torch.Generator()), columns=8)
            run.samples.mkdir(exist_ok=True)
            save_png(grid, run.samples / "0.png")
        record.ended = now()
        record.write(run.record_path)
    return record


def _digest(images: Images) -> str:
    digest = hashlib.sha256(images.pixels.numpy().tobytes())
    if images.num_levels not in (None, 256):  # the same bytes may mean other images
        digest.update(str(images.num_levels).encode())
    return digest.hexdigest()
