"""A run's checkpoint, or images made elsewhere -> metrics under a named protocol -> a record."""

import dataclasses
import hashlib
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from benchmarks.config.compose import check_settings, compose_group
from benchmarks.config.identity import (
    SPLITS,
    fingerprint,
    images_run_id,
    protocol_fingerprint,
    run_id,
)
from benchmarks.config.instantiate import NEVER_BUILT, check_trusted_config, instantiate
from benchmarks.config.migration import migrated_config
from benchmarks.config.yaml_files import read_yaml
from benchmarks.core.environment import code_state, exact_arithmetic, library_versions
from benchmarks.core.errors import UserError, user_errors
from benchmarks.core.paths import cache_dir, check_writable, outputs_dir
from benchmarks.evaluation.features.base import Extractor, Features, Remembered
from benchmarks.evaluation.features.cache import FeatureCache
from benchmarks.evaluation.images_from_disk import Images, read_images
from benchmarks.evaluation.protocols.samples import SampleProtocol
from benchmarks.evaluation.sources import ImageSource, ModelSource, TensorSource
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Evaluation, Record, bound_sign
from benchmarks.runs.writer import now
from datamodules.base import DataModule
from lit_models.base import LitGenerativeModel
from lit_models.callbacks.monitor import DivergedError
from lit_models.callbacks.sample_grids import image_grid, save_png
from lit_models.training.checkpoint_files import (
    CheckpointError,
    find_checkpoint,
    find_snapshots,
    load_checkpoint,
    snapshot_path,
)

__all__ = [
    "Scoring",
    "check_data",
    "describe",
    "evaluate_images",
    "evaluate_run",
    "feature_cache",
    "load_into",
    "load_model",
    "open_run",
    "parameter_dtype",
    "run_ids",
]

FAULTS_OF_DATA = (ValueError, TypeError, OSError, MemoryError)
NEEDED = (  # of a run's config, to build and to score it
    "images_seen",
    "precision",
    "protocols",
    "revision",
    "seed",
    "snapshot_every_images",
    "threads",
    "weights",
)
NARROW_OR_WIDE = {"64-true": torch.float64, "bf16-true": torch.bfloat16, "16-true": torch.float16}


class Scoring:
    """Scores sources against one data set; each protocol, and what is real, is taken in once.

    Protocols with the same extractor share the features of a source.

    Args:
        datamodule: Set up.
        protocols: Names of those that will be asked for.
    """

    def __init__(self, datamodule: DataModule, protocols: Sequence[str]) -> None:
        self.datamodule = datamodule
        self.several = len(set(protocols)) > 1
        self._ready: dict[str, tuple[Any, FeatureCache | None, str]] = {}
        self._checked: set[str] = set()
        self._features: dict[str, dict[bytes, Features]] = {}  # by extractor

    def __call__(
        self,
        name: str,
        source: ImageSource,
        checkpoint: str,
        images_seen: int,
        weights: str = "raw",
        draws: int = 1,
    ) -> Evaluation:
        """Score a source under a protocol; every process of a group must call this.

        Args:
            name: Of the protocol.
            source: Of samples.
            checkpoint: What is scored, as recorded.
            images_seen: Of the checkpoint.
            weights: "raw" or "ema", as recorded.
            draws: Draws of the samples; the first is the score, all are kept beside it.

        Raises:
            ValueError: if the protocol cannot score this, or draws of it cannot differ.
        """
        began = time.monotonic()
        protocol, cache, mark = self._prepared(name)
        if name not in self._checked:
            protocol.check(source, self.datamodule)
            self._checked.add(name)
        if draws > 1 and not protocol.repeatable:
            raise ValueError(f"draws must be 1 under {name}, got {draws}")
        found = []
        for draw in range(draws):
            label = name if draws == 1 else f"{name} {draw + 1}/{draws}"
            found.append(protocol.run(source, self.datamodule, cache, label, draw))
        return Evaluation(
            protocol=name,
            fingerprint=mark,
            checkpoint=checkpoint,
            weights=weights,
            images_seen=images_seen,
            metrics=dict(found[0]),
            attributes=protocol.attributes(source),
            seconds=round(time.monotonic() - began, 3),
            draws={n: [f[n] for f in found] for n in found[0]} if draws > 1 else {},
        )

    def main_value(self, name: str, most: int) -> tuple[str, bool] | None:
        """Return the first value of a protocol, and whether higher is better.

        None where neither is, or where it scores more than `most` samples or images.
        """
        protocol, _, _ = self._prepared(name)
        return protocol.main_value if protocol.num_scored(self.datamodule) <= most else None

    def next_source(self) -> None:
        """Forget the features of the last source, which the next one has not."""
        for known in self._features.values():
            known.clear()

    def _prepared(self, name: str) -> tuple[Any, FeatureCache | None, str]:
        """Return a protocol, built the first time, with its cache and fingerprint."""
        if name not in self._ready:
            self._ready[name] = self._build(name)
        return self._ready[name]

    def _build(self, name: str) -> tuple[Any, FeatureCache | None, str]:
        cfg = compose_group("protocol", name)
        protocol = instantiate(cfg, f"protocol {name}")
        mark = protocol_fingerprint(cfg)
        if not isinstance(protocol, SampleProtocol):
            return protocol, None, mark
        cache = feature_cache(cfg.extractor, protocol.extractor, self.datamodule)
        if self.several:
            known = self._features.setdefault(fingerprint(cache.extractor), {})
            protocol = dataclasses.replace(
                protocol, extractor=Remembered(protocol.extractor, known)
            )
        return protocol, cache, mark


def feature_cache(cfg: DictConfig, extractor: Extractor, datamodule: DataModule) -> FeatureCache:
    """Return where the features of a data set are kept for an extractor, built from a config."""
    described = [OmegaConf.to_container(cfg, resolve=True), extractor.version]
    data = [
        str(datamodule.found_fingerprint),
        datamodule.validation_size,
        datamodule.num_levels,
        list(datamodule.shape),
    ]
    return FeatureCache(cache_dir() / "real_features", described, data)


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
        datamodule = instantiate(cfg.datamodule, "datamodule")
        datamodule.setup()
        check_data(record, datamodule)
        scoring = Scoring(datamodule, protocols)
        every = [*map(str, find_snapshots(run.checkpoints)), "last"]
        for at in every if checkpoint == "all" else [checkpoint]:
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


def check_data(record: Record, datamodule: DataModule) -> None:
    """Refuse to go on with a record on other data than it began with.

    Raises:
        UserError: naming both fingerprints.
    """
    if record.data_fingerprint not in (None, datamodule.found_fingerprint):
        raise UserError(
            f"data set {datamodule.name} must have fingerprint {record.data_fingerprint}, with "
            f"which this run began, got {datamodule.found_fingerprint} (other data need another "
            "datamodule.name)"
        )


def open_run(folder: Path) -> tuple[Run, DictConfig]:
    """Return a run and its config.

    Raises:
        UserError: if the folder is no run's, or its config names classes from elsewhere.
    """
    run = Run(folder)
    if not (run.record_path.exists() and run.config_path.exists()):
        raise UserError(
            f"RUN must be a run's folder (with record.json and config.yaml), got {folder}"
        )
    run.check_links()
    with user_errors(YAMLError, OSError, ValueError):
        cfg = read_yaml(run.config_path)
    if OmegaConf.is_dict(cfg):
        cfg = OmegaConf.create(migrated_config(OmegaConf.to_container(cfg)))
    check_trusted_config(cfg, str(run.config_path))
    with user_errors(OmegaConfBaseException, ValueError, TypeError):
        for key in (k for k in NEVER_BUILT if k in cfg):
            del cfg[key]
        # what was checked is what is built: nothing is looked up after this
        plain = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))
        check_settings(plain, NEEDED, str(run.config_path))
    for key in ("datamodule", "model"):
        if "_target_" not in plain[key] or "_partial_" in plain[key]:
            raise UserError(f"{key} of {run.config_path} must name a class to build")
    return run, plain


def load_model(cfg: DictConfig, run: Run, checkpoint: str) -> tuple[LitGenerativeModel, int]:
    """Return the model of a checkpoint, and its images_seen.

    Raises:
        CheckpointError: if there is none, or it does not belong to this config.
    """
    model: LitGenerativeModel = instantiate(cfg.model, "model")
    model.to(parameter_dtype(cfg.precision))
    images_seen = load_into(model, run.checkpoints, checkpoint, *run_ids(run, run_id(cfg)))
    return model.eval().to(_device()), images_seen


def run_ids(run: Run, current: str) -> list[str]:
    """Return the ids that a run's checkpoints may bear: its own, and the one it had before."""
    record = run.record()
    before = record.migrated_from if record is not None and record.run_id == current else None
    return [current] if before is None else [current, before]


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def parameter_dtype(precision: str) -> torch.dtype:
    """Return the type of the parameters under Lightning's name of a precision."""
    return NARROW_OR_WIDE.get(precision, torch.float32)


def load_into(model: LitGenerativeModel, folder: Path, checkpoint: str, *run_ids: str) -> int:
    """Load what sampling needs of a checkpoint, "last" or a snapshot's; return its images_seen.

    Raises:
        CheckpointError: if there is none, or it does not belong to this model.
    """
    state = None
    if checkpoint == "last":
        found = find_checkpoint(folder, *run_ids)
        state = found[1] if found else None
    elif (path := snapshot_path(folder, checkpoint)).exists():
        state = load_checkpoint(path, *run_ids)
    if state is None:
        best = ["best"] if snapshot_path(folder, "best").exists() else []
        known = ", ".join(["last", *best, *map(str, find_snapshots(folder))])
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
    value_range: Sequence[float] | None = None,
) -> Record:
    """Score a split of the data, a folder of images, or an npz under protocols.

    The record stands in outputs/images/<dataset>/<id>/.

    Args:
        images: "train", "validation", "test", a folder of images, or an npz with `images`
            (uint8 or floats, NHW or NHWC).
        composed_data: The data set to compare with.
        protocols: Names.
        value_range: Lowest and highest value of a pixel; None where the images leave no doubt.

    Raises:
        UserError: if the images are absent, unreadable, in doubt, too few, or do not fit.
    """
    torch.set_num_threads(1)
    exact_arithmetic()
    with ExitStack() as stack, user_errors(*FAULTS_OF_DATA):
        datamodule = instantiate(composed_data, "datamodule")
        datamodule.setup()
        found = read_images(images, datamodule, value_range)
        if found.left_out:
            print(f"{found.name}: {found.left_out}", file=sys.stderr)
        source = TensorSource(found.pixels, found.num_levels, seed=0, device=_device())
        key = images if images in SPLITS else _digest(found)
        identifier = images_run_id(key, composed_data)
        run = Run(outputs_dir() / "images" / datamodule.name / identifier)
        check_writable(run.folder)
        stack.enter_context(run.locked())
        record = run.record() or Record(
            experiment="images",
            dataset=datamodule.name,
            run_id=run.id,
            seed=0,
            status="finished",
            method=f"images: {found.name}",
            config={"images": found.name, "left_out": found.left_out},
            code=code_state(),
            data_fingerprint=datamodule.found_fingerprint,
            data_pinned=datamodule.fingerprint is not None,
            versions=library_versions(),
            started=now(),
        )
        check_data(record, datamodule)
        scoring = Scoring(datamodule, protocols)
        for protocol in protocols:
            record.add(scoring(protocol, source, "images", 0))
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


def describe(record: Record) -> list[str]:
    """Return one line per evaluation, for the terminal; checkpoints in the order of training."""
    lines = []
    for e in sorted(record.evaluations, key=lambda e: (e.protocol, e.images_seen)):
        values = ", ".join(
            f"{k} {bound_sign(e, k)}{_text(v, e.draws.get(k))}" for k, v in e.metrics.items()
        )
        kind = "".join(f", {e.attributes[k]}" for k in ("of", "given") if k in e.attributes)
        lines.append(f"{e.protocol} [{e.checkpoint}, {e.weights}{kind}]: {values}")
    return lines


def _text(value: float | None, draws: Sequence[float | None] | None) -> str:
    """Return a value, with mean and standard error over its draws where there are some."""
    text = "null" if value is None else f"{value:.5g}"
    known = [v for v in draws or () if v is not None]
    if len(known) < 2:
        return text
    error = statistics.stdev(known) / len(known) ** 0.5
    return f"{text} (mean {statistics.fmean(known):.4g} ± {error:.2g} s.e. of {len(known)} draws)"
