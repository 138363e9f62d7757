"""From a composed config to what one run is made of; whatever cannot be trained is refused."""

import logging
import os
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_object
from lightning import Callback, Trainer
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from benchmarks.config.compose import Composed, with_values
from benchmarks.config.instantiate import check_signatures, instantiate
from benchmarks.core.environment import exact_arithmetic, is_first_process
from benchmarks.core.errors import UserError, one_line, user_errors
from benchmarks.core.seeds import GRIDS, INITIALISATION, NOISE, ORDER, seed_of
from benchmarks.evaluation.default_protocol import default_protocol
from benchmarks.evaluation.opening import parameter_dtype, run_ids
from benchmarks.evaluation.scoring import BuiltProtocol, Scoring, build_protocols
from benchmarks.loggers.csv_logger import CsvLogger
from benchmarks.runs.folder import Run
from benchmarks.runs.writer import RunWriter
from benchmarks.training.checks import (
    check_fit,
    check_pictures,
    check_processes,
    check_protocols,
    check_trainer,
    check_weights,
    whole_updates,
)
from benchmarks.training.tracking import Tracker, check_track
from benchmarks.training.trial import try_out
from datamodules.base import DataModule
from lit_models.base import LitGenerativeModel
from lit_models.callbacks.checkpoints import Checkpoints
from lit_models.callbacks.monitor import Monitor
from lit_models.callbacks.process_watchdog import ProcessWatchdog
from lit_models.callbacks.progress import Progress
from lit_models.callbacks.sample_grids import SampleGrids
from lit_models.callbacks.settings_agreement import SettingsAgreement
from lit_models.capabilities import Samples, has
from lit_models.training.checkpoint_files import find_checkpoint
from lit_models.training.lightning_internals import leave_signals_alone

__all__ = [
    "Parts",
    "begin",
    "build",
    "build_model",
    "protocols_of",
    "quiet",
    "trial",
    "with_protocols",
]

CHECKPOINTS_PER_RUN = 10
HARMLESS = (  # true of every run here, and meant so
    ".*have overridden `on_after_batch_transfer`.*",
    ".*LeafSpec.*",
    ".*`srun` command is available.*",
    ".*does not have many workers.*",
    ".*torch.distributed.nn.functional.* is deprecated.*",
)


@dataclass
class Parts:
    """What one run is made of.

    Attributes:
        model: The model, of its seed.
        data: The data set, set up.
        scoring: Scores the model, in training and after.
        trainer: Lightning's Trainer, with the suite's callbacks.
        progress: Counts images and seconds.
        checkpoints: Saves.
        watchdog: Looks after the other processes.
        checkpoint: Where the run goes on from; None at its beginning.
        budget: The length of training, in images.
    """

    model: LitGenerativeModel
    data: DataModule
    scoring: Scoring
    trainer: Trainer
    progress: Progress
    checkpoints: Checkpoints
    watchdog: ProcessWatchdog
    checkpoint: Path | None
    budget: int


def begin(composed: Composed) -> DataModule:
    """Set this process up for a run; return its data."""
    torch.set_num_threads(composed.cfg.threads)
    exact_arithmetic()
    check_trainer(composed.cfg)
    data: DataModule = instantiate(composed.cfg.datamodule, "datamodule")
    try:
        data.setup()
    except (ValueError, TypeError, OSError) as error:
        raise UserError(f"datamodule: {one_line(error)}") from error
    data.order_seed = seed_of(composed.cfg.seed, ORDER)
    check_pictures(composed.cfg, data)
    if data.left_out:
        _tell(f"{data.name}: {data.left_out}")
    return data


def with_protocols(composed: Composed, data: DataModule) -> Composed:
    """Return a run with the protocols that score it, and say so where nobody has chosen them.

    An experiment names those of its own data sets; of any other it cannot know what fits.
    """
    if composed.cfg.protocols is not None:
        return composed
    model = get_object(composed.cfg.model._target_)
    if has(model, Samples):
        name, tried = default_protocol(data)
    else:
        name, tried = None, f"{model.__name__} draws no samples"
    if name is None:
        _tell(f"{data.name}: no score at the end ({tried}; protocols=[NAME] chooses one)")
    else:
        _tell(f"{data.name}: will be scored under {name}" + (f" ({tried})" if tried else ""))
    return replace(composed, cfg=with_values(composed.cfg, {"protocols": [name] if name else []}))


def _tell(text: str) -> None:
    if is_first_process():
        print(f"dgmbench: {text}", file=sys.stderr)


def trial(composed: Composed) -> list[str]:
    """Try a run in scratch space: a few updates, the pictures, each protocol at its smallest.

    Returns:
        What was tried, a line each; nothing else is left.

    Raises:
        UserError: naming the part that failed, and why.
    """
    quiet()
    data = begin(composed)
    cfg = with_protocols(composed, data).cfg
    protocols = protocols_of(cfg)
    model = build_model(cfg, data, protocols)
    whole_updates(cfg.images_seen, model.images_per_step)
    for key in ("logger", "callbacks"):
        check_signatures(OmegaConf.to_container(cfg[key], resolve=True), key)
    return _try(cfg, data, model, protocols)


def build(writer: RunWriter, data: DataModule, bar: bool) -> Parts:
    """Build everything and refuse what cannot be trained."""
    run, cfg = writer.run, writer.composed.cfg
    protocols = protocols_of(cfg)
    model = build_model(cfg, data, protocols)
    scoring = Scoring(data, protocols)
    budget = whole_updates(cfg.images_seen, model.images_per_step)
    with user_errors(ValueError):
        found = find_checkpoint(run.checkpoints, *run_ids(run, run.id))
        checkpoints = _checkpoints(cfg, run, budget)
        watchdog = ProcessWatchdog(cfg.process_timeout_seconds, partial(_died, writer))
    if found:
        check_weights(model, *found)
    elif writer.record.status != "finished":  # before loggers begin
        _try(cfg, data, model, protocols, run.folder / "error.txt")
    path, images_seen = (found[0], found[1]["images_seen"]) if found else (None, 0)
    label = f"{writer.composed.experiment} s{cfg.seed}"
    progress = Progress(run.progress_path, budget, label, bar)
    trainer = _trainer(
        cfg,
        max_epochs=-1,
        max_steps=budget // model.images_per_step,
        precision=cfg.precision,
        logger=_loggers(cfg, run, images_seen),
        callbacks=[
            watchdog,
            SettingsAgreement(_agreed(cfg, run, data, images_seen)),
            Monitor(cfg.log_every_updates),
            SampleGrids(
                run.samples, cfg.sample_grid_every_images, seed_of(cfg.seed, GRIDS), cfg.weights
            ),
            progress,
            *_tracker(writer, scoring, progress),
            *_own_callbacks(cfg),
            checkpoints,  # last: what the others keep is saved with them
        ],
        default_root_dir=str(run.folder),
    )
    leave_signals_alone(trainer)
    check_processes(trainer, data, model)
    if cfg.data_on_device:
        data.device = trainer.strategy.root_device
    return Parts(model, data, scoring, trainer, progress, checkpoints, watchdog, path, budget)


def build_model(
    cfg: DictConfig, data: DataModule, protocols: Mapping[str, BuiltProtocol]
) -> LitGenerativeModel:
    """Build the model from its seed, and try its protocols on it."""
    torch.manual_seed(seed_of(cfg.seed, INITIALISATION))
    model = instantiate(cfg.model, "model")
    if not isinstance(model, LitGenerativeModel):
        raise UserError(
            "model._target_ must be a class that inherits from lit_models.base.LitGenerativeModel,"
            f" got {cfg.model._target_}"
        )
    model.noise_seed = seed_of(cfg.seed, NOISE)
    check_fit(model, data)
    with user_errors(ValueError):
        model.begin_from(data.split("train")[0])
        model.weights = cfg.weights
    check_protocols(model, data, protocols, cfg.track)
    try:
        model.configure_optimizers()
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"model: an optimizer cannot be built: {one_line(error)}") from error
    # before Lightning does so: it loads a checkpoint first, and would round it to float32
    model.to(parameter_dtype(cfg.precision))
    model.speed_up(cfg.channels_last, cfg.compile)
    return model


def protocols_of(cfg: DictConfig) -> dict[str, BuiltProtocol]:
    """Build the protocols that a run's config names, each once."""
    check_track(cfg.track, cfg.images_seen)
    if cfg.snapshot_protocols and cfg.snapshot_every_images is None:
        raise UserError("snapshot_every_images must be given with snapshot_protocols, got null")
    tracked = [] if cfg.track.protocol is None else [cfg.track.protocol]
    return build_protocols([*cfg.protocols, *cfg.snapshot_protocols, *tracked])


def quiet() -> None:
    """Keep Lightning's hints off the terminal, and its probe out of the steps."""
    # it makes every optimizer step look for NVIDIA's library: .2 ms each where there is none
    os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
    for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in HARMLESS:
        warnings.filterwarnings("ignore", message=message)


def _try(
    cfg: DictConfig,
    data: DataModule,
    model: LitGenerativeModel,
    protocols: Mapping[str, BuiltProtocol],
    error_file: Path | None = None,
) -> list[str]:
    """Try a model on a copy, where this process will train it."""
    trainer = _trainer(cfg, logger=False)
    check_processes(trainer, data, model)
    device = trainer.strategy.root_device
    return try_out(model, data, cfg, protocols, device, error_file)


def _trainer(cfg: DictConfig, **settings: Any) -> Trainer:
    """Return a Trainer of the config's, with what is ours done by us."""
    trainer: Trainer = instantiate(
        cfg.trainer,
        "trainer",
        **settings,
        plugins=_place(cfg),
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    return trainer


def _loggers(cfg: DictConfig, run: Run, images_seen: int) -> list[Logger]:
    """Return the file that every run writes, then the loggers that were asked for."""
    history = CsvLogger(run.logs, run.id, images_seen)
    given = {"folder": run.logs, "run_id": run.id, "images_seen": images_seen, "history": history}
    asked = [(name, node) for name, node in cfg.logger.items() if node is not None]
    return [history, *(instantiate(node, f"logger.{name}", **given) for name, node in asked)]


def _own_callbacks(cfg: DictConfig) -> list[Callback]:
    found = []
    for name, node in cfg.callbacks.items():
        callback = None if node is None else instantiate(node, f"callbacks.{name}")
        if not isinstance(callback, Callback | None):
            raise UserError(
                f"callbacks.{name}._target_ must be a class that inherits from "
                f"lightning.Callback, got {node._target_}"
            )
        found += [] if callback is None else [callback]
    return found


def _place(cfg: DictConfig) -> list[LightningEnvironment]:
    """Keep Lightning from taking an interactive session of SLURM for the launcher of one process.

    A session for several tasks, in which none was started by srun, would be refused.
    """
    devices, nodes = cfg.trainer.get("devices"), cfg.trainer.get("num_nodes", 1)
    count = len(devices) if OmegaConf.is_list(devices) else devices
    is_one = nodes == 1 and count in (1, "1")
    is_started_alone = os.environ.get("SLURM_STEP_NUM_TASKS", "1") == "1"
    is_interactive = "SLURM_NTASKS" in os.environ and "WORLD_SIZE" not in os.environ
    return [LightningEnvironment()] if is_one and is_started_alone and is_interactive else []


def _checkpoints(cfg: DictConfig, run: Run, budget: int) -> Checkpoints:
    every = cfg.checkpoint_every_images or max(budget // CHECKPOINTS_PER_RUN, 1)
    return Checkpoints(
        run.checkpoints, every, run.id, cfg.snapshot_every_images, cfg.checkpoint_every_minutes
    )


def _tracker(writer: RunWriter, scoring: Scoring, progress: Progress) -> list[Tracker]:
    cfg, run = writer.composed.cfg, writer.run
    if cfg.track.protocol is None:
        return []
    return [
        Tracker(cfg.track, cfg.weights, run.checkpoints, run.id, writer.keep, scoring, progress)
    ]


def _died(writer: RunWriter, reason: str) -> None:
    """Write which process died; a run that an earlier call finished keeps what it has."""
    if writer.record.status != "finished":
        writer.end("failed", reason)


def _agreed(cfg: DictConfig, run: Run, data: DataModule, images_seen: int) -> dict[str, str]:
    """Return what all processes of a run must have in common."""
    return {
        "run id": run.id,
        "checkpoint": str(images_seen),
        "data fingerprint": str(data.found_fingerprint),
        "protocols": ", ".join(cfg.protocols),
        "snapshot_protocols": ", ".join(cfg.snapshot_protocols),
        "weights": cfg.weights,
        "track": str(cfg.track),
    }
