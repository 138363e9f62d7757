"""Runs opened again: the folder, its config, its checkpoints, with nothing trusted unchecked."""

import sys
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from benchmarks.config.identity import (
    LIBRARIES,
    determining_of,
    identity,
    own_sources,
    run_id,
    without_sources,
)
from benchmarks.config.instantiate import NEVER_BUILT, check_trusted_config, instantiate
from benchmarks.config.migration import migrated_config
from benchmarks.config.settings import check_settings
from benchmarks.config.yaml_files import read_yaml
from benchmarks.core.errors import UserError, user_errors
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Record
from datamodules.base import DataModule
from lit_models.base import LitGenerativeModel
from lit_models.training.checkpoint_files import (
    CheckpointError,
    find_checkpoint,
    find_snapshots,
    load_checkpoint,
    snapshot_path,
)

__all__ = [
    "check_data",
    "checkpoints_of",
    "default_device",
    "load_into",
    "load_model",
    "open_run",
    "parameter_dtype",
    "run_ids",
]

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


def open_run(folder: Path) -> tuple[Run, DictConfig]:
    """Return a run and its config; say so where its own package is not what it was trained with.

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
        cfg: Any = read_yaml(run.config_path)
    if OmegaConf.is_dict(cfg):
        cfg = OmegaConf.create(migrated_config(OmegaConf.to_container(cfg)))
    check_trusted_config(cfg, str(run.config_path))
    with user_errors(OmegaConfBaseException, ValueError, TypeError):
        for key in (k for k in NEVER_BUILT if k in cfg):
            del cfg[key]
        # what was checked is what is built: nothing is looked up after this
        plain: Any = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))
        check_settings(plain, NEEDED, str(run.config_path))
    for key in ("datamodule", "model"):
        if "_target_" not in plain[key] or "_partial_" in plain[key]:
            raise UserError(f"{key} of {run.config_path} must name a class to build")
    with user_errors(ValueError, TypeError):
        _tell_of_changed_sources(run, plain)
    return run, plain


def _tell_of_changed_sources(run: Run, cfg: DictConfig) -> None:
    """Name the own packages that are not, or perhaps not, what a run was trained with."""
    record = run.record()
    if record is None or not _is_of(record, cfg):
        return
    then, now = own_sources(record.config), own_sources(identity(cfg))
    changed = {p for p in then.keys() | now.keys() if then.get(p) != now.get(p)} - {*LIBRARIES}
    if changed:
        have = "have" if changed <= then.keys() & now.keys() else "may have"
        print(
            f"dgmbench: the sources of {', '.join(sorted(changed))} {have} changed since run "
            f"{run.folder} was trained",
            file=sys.stderr,
        )


def _is_of(record: Record, cfg: DictConfig) -> bool:
    """Return whether a record is of a run with this config, whatever its sources are now."""
    trained = without_sources(determining_of(record.config))
    is_same = trained == without_sources(identity(cfg))
    return is_same and record.run_id.endswith(f"-r{cfg.revision}-s{cfg.seed}")


def checkpoints_of(run: Run, checkpoint: str) -> list[str]:
    """Return the checkpoints that a name means: all snapshots and the last, or itself."""
    if checkpoint != "all":
        return [checkpoint]
    return [*map(str, find_snapshots(run.checkpoints)), "last"]


def load_model(
    cfg: DictConfig, run: Run, checkpoint: str, device: str | torch.device | None = None
) -> tuple[LitGenerativeModel, int]:
    """Return the model of a checkpoint, and its images_seen.

    Args:
        cfg: The run's config.
        run: The run.
        checkpoint: "last", "best", or the images_seen of a snapshot.
        device: Where the model is put; None for a GPU where there is one.

    Raises:
        CheckpointError: if there is none, or it does not belong to this config.
    """
    model: LitGenerativeModel = instantiate(cfg.model, "model")
    model.to(parameter_dtype(cfg.precision))
    ids = run_ids(run, _trained_as(run, cfg))
    images_seen = load_into(model, run.checkpoints, checkpoint, *ids)
    return model.eval().to(device or default_device()), images_seen


def _trained_as(run: Run, cfg: DictConfig) -> str:
    """Return the id that a run with this config has; not today's where sources have changed."""
    record = run.record()
    return record.run_id if record is not None and _is_of(record, cfg) else run_id(cfg)


def run_ids(run: Run, current: str) -> list[str]:
    """Return the ids that a run's checkpoints may bear: its own, and the one it had before."""
    record = run.record()
    before = record.migrated_from if record is not None and record.run_id == current else None
    return [current] if before is None else [current, before]


def default_device() -> str:
    """Return where models are scored: on a GPU where there is one."""
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
