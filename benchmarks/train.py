"""Instantiate -> fit -> evaluate -> record. A run that was cut continues from its checkpoint."""

import logging
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from benchmarks.compose import Composed, compose_group
from benchmarks.environment import code_state, device_name, library_versions, peak_memory_bytes
from benchmarks.errors import UserError, one_line, user_errors
from benchmarks.evaluate import evaluate
from benchmarks.evaluation_ids import protocol_fingerprint
from benchmarks.identity import NOT_IDENTITY, identity
from benchmarks.instantiate import check_signatures, instantiate
from benchmarks.paths import check_writable
from benchmarks.protocols import ModelSource
from benchmarks.records import Record, write_atomically
from benchmarks.runs import Run
from datamodules.base import BatchStream, DataModule
from lit_models.base import LitGenerativeModel
from lit_models.callbacks.checkpoints import Checkpoints, find_checkpoint, load_checkpoint
from lit_models.callbacks.monitor import DivergedError, Monitor
from lit_models.callbacks.progress import Progress
from lit_models.callbacks.sample_grids import SampleGrids
from lit_models.noise import fold_seed

__all__ = ["train"]

# children of the root seed
INITIALISATION, ORDER, NOISE, GRIDS = range(4)
CHECKPOINTS_PER_RUN = 10
HARMLESS = (  # true of every run here, and meant so
    ".*have overridden `on_after_batch_transfer`.*",
    ".*LeafSpec.*",
    ".*`srun` command is available.*",
    ".*does not have many workers.*",
)


@dataclass
class Parts:
    """What one run is made of."""

    model: LitGenerativeModel
    datamodule: DataModule
    trainer: Trainer
    progress: Progress
    checkpoints: Checkpoints


def train(composed: Composed, bar: bool = True) -> Record:
    """Train, or continue, one run; then do the evaluations that are missing.

    Args:
        composed: The config.
        bar: Whether to draw a progress bar.

    Returns:
        The record, as written.

    Raises:
        UserError: for a mistake in the config, before anything is trained.
    """
    quiet()
    run = Run.of(composed)
    check_writable(run.folder)
    with user_errors(ValueError):
        record = run.record() or _new_record(composed, run)
    if record.status == "diverged" or (
        record.status == "finished" and not _protocols_to_do(composed, record)
    ):
        return record
    record.overrides = _portable(composed.overrides)
    parts = _build(composed, run, bar)
    if record.status != "finished":
        record.status, record.reason = "interrupted", "started and not ended"
        _write(run, record)
        _write_config(run, composed)
    try:
        _fit_and_evaluate(composed, run, record, parts)
    except DivergedError as error:
        _end(run, record, "diverged", str(error))
    except (KeyboardInterrupt, SystemExit):  # Lightning turns the one into the other
        _end(run, record, "interrupted", "interrupted by the user or a signal")
        raise KeyboardInterrupt from None
    except Exception as error:
        _write_error(run)
        if record.status == "finished":  # by an earlier call: it keeps what it has
            raise
        _end(run, record, "failed", f"{type(error).__name__}: {one_line(error)}")
        if isinstance(error, UserError):
            raise
    return record


def _fit_and_evaluate(composed: Composed, run: Run, record: Record, parts: Parts) -> None:
    model, cfg = parts.model, composed.cfg
    _fit(composed, run, parts)
    record.counters = {
        "images_seen": model.images_seen,
        "budget_images": cfg.images_seen,
        "updates": model.images_seen // model.images_per_step,
    }
    record.data_fingerprint = parts.datamodule.found_fingerprint
    record.data_pinned = parts.datamodule.fingerprint is not None
    if record.status != "finished":
        record.cost = _cost(composed, parts)
    for name in _protocols_to_do(composed, record):
        result = evaluate(
            ModelSource(model),
            parts.datamodule,
            name,
            "last",
            model.images_seen,
            cfg.weights,
            composed.config_dirs,
        )
        record.add(result)
        _write(run, record)
    _end(run, record, "finished", None)
    for logger in parts.trainer.loggers:
        if hasattr(logger, "summarize"):
            logger.summarize(_summary(record))
            logger.finalize("success")


def _build(composed: Composed, run: Run, bar: bool) -> Parts:
    """Build everything and refuse what cannot be trained."""
    cfg = composed.cfg
    torch.set_num_threads(cfg.threads)
    torch.manual_seed(fold_seed(cfg.seed, INITIALISATION))
    datamodule: DataModule = instantiate(cfg.datamodule, "datamodule")
    with user_errors(ValueError, OSError):
        datamodule.setup()
    datamodule.order_seed = fold_seed(cfg.seed, ORDER)
    model: LitGenerativeModel = instantiate(cfg.model, "model")
    model.noise_seed = fold_seed(cfg.seed, NOISE)
    with user_errors(ValueError):
        model.weights = cfg.weights
        for name, protocol in _protocols(composed).items():
            instantiate(protocol, f"protocol {name}").check(ModelSource(model), datamodule)
    budget = cfg.images_seen // model.images_per_step * model.images_per_step
    progress = Progress(run.progress_path, budget, f"{composed.experiment} s{cfg.seed}", bar)
    with user_errors(ValueError):
        checkpoint = find_checkpoint(run.checkpoints, run.id)
        seen = load_checkpoint(checkpoint, run.id)["images_seen"] if checkpoint else 0
        checkpoints = Checkpoints(
            run.checkpoints,
            cfg.checkpoint_every_images or max(budget // CHECKPOINTS_PER_RUN, 1),
            run.id,
            cfg.snapshot_every_images,
        )
        callbacks = [
            Monitor(cfg.log_every_updates),
            SampleGrids(
                run.samples,
                cfg.sample_grid_every_images,
                fold_seed(cfg.seed, GRIDS),
                cfg.weights,
            ),
            progress,
            checkpoints,  # last: what the others keep is saved with it
        ]
    trainer = instantiate(
        cfg.trainer,
        "trainer",
        max_epochs=-1,
        max_steps=budget // model.images_per_step,
        precision=cfg.precision,
        logger=_logger(composed, run, seen),
        callbacks=callbacks,
        default_root_dir=str(run.folder),
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with user_errors(ValueError):
        BatchStream(
            *datamodule.split("train"), batch_size=model.batch_size, world_size=trainer.world_size
        )
    return Parts(model, datamodule, trainer, progress, checkpoints)


def _fit(composed: Composed, run: Run, parts: Parts) -> None:
    path = find_checkpoint(run.checkpoints, run.id)
    trainer, model = parts.trainer, parts.model
    trainer.fit(model, datamodule=parts.datamodule, ckpt_path=path, weights_only=True)
    if not (run.checkpoints / f"{model.images_seen}.ckpt").exists():
        parts.checkpoints.save(trainer)


def _protocols(composed: Composed) -> dict[str, DictConfig]:
    """Return the configs of the protocols that the run's config names."""
    return {
        name: compose_group("protocol", name, config_dirs=composed.config_dirs)
        for name in composed.cfg.protocols
    }


def _protocols_to_do(composed: Composed, record: Record) -> list[str]:
    """Return the protocols whose measurement of the last checkpoint the record lacks."""
    return [
        name
        for name, cfg in _protocols(composed).items()
        if record.evaluation(protocol_fingerprint(cfg), "last", composed.cfg.weights) is None
    ]


def _summary(record: Record) -> dict[str, float | None]:
    return {f"{e.protocol}/{k}": v for e in record.evaluations for k, v in e.metrics.items()}


def quiet() -> None:
    """Keep Lightning's hints off the terminal; its errors stay."""
    for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in HARMLESS:
        warnings.filterwarnings("ignore", message=message)


def _portable(overrides: Sequence[str]) -> list[str]:
    """Leave out overrides that name paths, hosts or accounts."""
    private = ("logger", "hydra")
    return [
        o
        for o in overrides
        if o.split("=")[0].split(".")[-1] not in NOT_IDENTITY
        and o.lstrip("+~").split("=")[0].split(".")[0] not in private
    ]


def _logger(composed: Composed, run: Run, images_seen: int) -> Logger:
    resolved = OmegaConf.to_container(composed.cfg.logger, resolve=True)
    check_signatures(resolved, "logger")
    return instantiate(
        composed.cfg.logger, "logger", folder=run.logs, run_id=run.id, images_seen=images_seen
    )


def _new_record(composed: Composed, run: Run) -> Record:
    cfg = composed.cfg
    sampling = {"weights": cfg.weights, "threads": cfg.threads}
    return Record(
        experiment=composed.experiment,
        dataset=composed.dataset,
        run_id=run.id,
        seed=cfg.seed,
        status="interrupted",
        method=cfg.method,
        row=cfg.row,
        deviations=list(cfg.deviations),
        config={**identity(cfg), **sampling},
        code=code_state(),
        versions=library_versions(),
        started=_now(),
    )


def _cost(composed: Composed, parts: Parts) -> dict[str, Any]:
    seconds = parts.progress.seconds
    cost = {
        "seconds": round(seconds, 3),
        "images_per_second": round(parts.model.images_seen / seconds, 1) if seconds else None,
        "device": device_name(parts.trainer.strategy.root_device),
        "processes": parts.trainer.world_size,
        "threads": composed.cfg.threads,
        "peak_memory_bytes": peak_memory_bytes(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        cost["peak_device_memory_bytes"] = torch.cuda.max_memory_allocated()
    return cost


@rank_zero_only
def _end(run: Run, record: Record, status: str, reason: str | None) -> None:
    record.status, record.reason, record.ended = status, reason, _now()
    _write(run, record)


@rank_zero_only
def _write(run: Run, record: Record) -> None:
    record.write(run.record_path)


@rank_zero_only
def _write_config(run: Run, composed: Composed) -> None:
    write_atomically(run.config_path, OmegaConf.to_yaml(composed.cfg, resolve=True))


@rank_zero_only
def _write_error(run: Run) -> None:
    write_atomically(run.folder / "error.txt", traceback.format_exc())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
