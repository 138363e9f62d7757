"""Instantiate -> fit -> evaluate -> record. A run that was cut continues from its checkpoint."""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC, EROFS
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from benchmarks.config.compose import Composed, compose_group
from benchmarks.config.identity import protocol_fingerprint
from benchmarks.config.instantiate import check_signatures, instantiate
from benchmarks.core.environment import exact_arithmetic, is_first_process
from benchmarks.core.errors import UserError, one_line, user_errors
from benchmarks.core.paths import check_writable, outputs_dir
from benchmarks.evaluation.scoring import Scoring, check_data, load_into, parameter_dtype, run_ids
from benchmarks.evaluation.sources import ModelSource
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Record, read_record
from benchmarks.runs.writer import RunWriter
from benchmarks.training.tracking import BEST, Tracker, check_best, check_track
from benchmarks.training.trial import try_out
from datamodules.base import BatchStream, DataModule
from lit_models.base import LitGenerativeModel
from lit_models.callbacks.checkpoints import Checkpoints
from lit_models.callbacks.monitor import DivergedError, Monitor
from lit_models.callbacks.process_watchdog import ProcessWatchdog
from lit_models.callbacks.progress import Progress
from lit_models.callbacks.sample_grids import SampleGrids
from lit_models.callbacks.settings_agreement import DisagreementError, SettingsAgreement
from lit_models.training.checkpoint_files import (
    SaveError,
    find_checkpoint,
    find_snapshots,
    snapshot_path,
)
from lit_models.training.distributed import ReplicatedStrategy
from lit_models.training.interruption import Interrupted
from lit_models.training.lightning_internals import leave_signals_alone
from lit_models.training.noise import fold_seed

__all__ = ["quiet", "train", "trial"]

# children of the root seed
INITIALISATION, ORDER, NOISE, GRIDS = range(4)
CHECKPOINTS_PER_RUN = 10
MOST_COMPARED = 3000  # samples or images of a score that is also taken of the untrained model
# what a config may set of Lightning's Trainer; the rest would cut a run short or train another one
OF_THE_TRAINER = (
    "accelerator",
    "benchmark",
    "detect_anomaly",
    "deterministic",
    "devices",
    "num_nodes",
    "profiler",
    "strategy",
)
OUR_WORDS = {  # of settings that people look for there
    "accumulate_grad_batches": "model.batch_size, which is the images per update",
    "callbacks": "the suite's own",
    "default_root_dir": "DGMBENCH_OUTPUTS",
    "enable_progress_bar": "--no-bar",
    "fast_dev_run": "--trial",
    "gradient_clip_val": "model.clip_grad_norm",
    "limit_train_batches": "images_seen",
    "limit_val_batches": "protocols=[]",
    "limit_test_batches": "protocols=[]",
    "logger": "logger=NAME",
    "max_epochs": "images_seen",
    "max_steps": "images_seen",
    "max_time": "images_seen",
    "min_epochs": "images_seen",
    "min_steps": "images_seen",
    "overfit_batches": "a data set of few images",
    "precision": "precision",
}
HARMLESS = (  # true of every run here, and meant so
    ".*have overridden `on_after_batch_transfer`.*",
    ".*LeafSpec.*",
    ".*`srun` command is available.*",
    ".*does not have many workers.*",
    ".*torch.distributed.nn.functional.* is deprecated.*",
)


@dataclass
class Parts:
    """What one run is made of."""

    model: LitGenerativeModel
    datamodule: DataModule
    trainer: Trainer
    progress: Progress
    checkpoints: Checkpoints
    watch: ProcessWatchdog
    checkpoint: Path | None  # to continue from
    budget: int  # images


class CutShortError(Exception):
    """Something ended the training before its length."""

    def __init__(self, images_seen: int, budget: int) -> None:
        super().__init__(f"the training ended after {images_seen:,} of {budget:,} images")


def train(composed: Composed, bar: bool = True) -> Record:
    """Train, or continue, one run; then do the evaluations that are missing.

    Args:
        composed: The config.
        bar: Whether to draw a progress bar.

    Returns:
        The record, as written.

    Raises:
        UserError: for a mistake in the config, before anything is trained; if another process
            is at this run.
        Interrupted: after a signal (`lit_models.training.interruption`), once all is saved.
    """
    quiet()
    run = Run.of(composed)
    if not is_first_process():  # of all machines: Lightning does not know before it has begun
        rank_zero_only.rank = rank_zero_only.rank or 1
    _check_not_begun_before(run)
    check_writable(run.folder)
    with run.locked() if rank_zero_only.rank == 0 else nullcontext():
        return _train(composed, run, bar)


def _check_not_begun_before(run: Run) -> None:
    """Refuse to begin anew what an earlier version has begun under another id."""
    seed = run.id.rsplit("-s", 1)[1]
    for record in run.folder.parent.glob(f"*-s{seed}/record.json"):
        with suppress(ValueError):
            other = read_record(record)
            if record.parent != run.folder and other is not None and other.run_id == run.id:
                raise UserError(
                    f"run {record.parent} was begun by an earlier version: `dgmbench migrate "
                    f"{outputs_dir()}` gives it the id that it has now, and the same command "
                    "continues it"
                )


def trial(composed: Composed) -> list[str]:
    """Try a run in scratch space: a few updates, the pictures, each protocol at its smallest.

    Returns:
        What was tried, a line each; nothing else is left.

    Raises:
        UserError: naming the part that failed, and why.
    """
    quiet()
    cfg, datamodule = composed.cfg, _begin(composed)
    model = _model(composed, datamodule)
    _budget(cfg.images_seen, model.images_per_step)
    check_signatures(OmegaConf.to_container(cfg.logger, resolve=True), "logger")
    return _try(composed, datamodule, model)


def _try(
    composed: Composed,
    datamodule: DataModule,
    model: LitGenerativeModel,
    error_file: Path | None = None,
) -> list[str]:
    """Try a model on a copy, where this process will train it."""
    trainer = _trainer(composed.cfg, logger=False)
    _check_processes(trainer, datamodule, model)
    device = trainer.strategy.root_device
    return try_out(model, datamodule, composed.cfg, _protocols(composed), device, error_file)


def _begin(composed: Composed) -> DataModule:
    torch.set_num_threads(composed.cfg.threads)
    exact_arithmetic()
    _check_trainer(composed.cfg)
    return _data(composed)


def _train(composed: Composed, run: Run, bar: bool) -> Record:
    datamodule = _begin(composed)
    writer = RunWriter.open(composed, run)
    record = writer.record
    check_data(record, datamodule)
    was_finished = record.status == "finished"
    if record.status == "diverged" or (was_finished and not _to_do(writer)):
        return record
    parts = _build(writer, datamodule, bar)
    if not was_finished:
        writer.begin(datamodule, parts.model.draws_dropout)
    try:
        _fit(parts)
        if not was_finished:
            _take_stock(writer, parts)
        if parts.model.images_seen < parts.budget:
            raise CutShortError(parts.model.images_seen, parts.budget)
        with user_errors(ValueError):
            scoring = _evaluate(writer, parts)
        writer.end("finished", None)
        was_finished = True  # what follows can take nothing from it
        _note_if_nothing_was_learned(writer, parts, scoring)
    except BaseException as error:
        parts.watch.tell(error)
        status, reason = _why(error, parts.watch)
        with suppress(OSError):  # a full disk: the cause is told, and the old record is whole
            _write_end(writer, parts, status, reason, was_finished)
        if isinstance(error, SaveError) or _is_full(error):
            raise UserError(one_line(error)) from error
        if isinstance(error, SystemExit):  # Lightning makes this of an interrupt
            raise KeyboardInterrupt from None
        if was_finished or isinstance(error, UserError) or not isinstance(error, Exception):
            raise
        record.status, record.reason = status, reason
    finally:
        parts.watch.end()
    _summarize(parts.trainer.loggers, record)
    return record


def _is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT, EROFS)


def _write_end(
    writer: RunWriter, parts: Parts, status: str, reason: str, was_finished: bool
) -> None:
    if status == "failed":
        writer.write_error()
    if not was_finished:  # by an earlier call: then it keeps what it has
        _take_stock(writer, parts)
        writer.end(status, reason)


def _take_stock(writer: RunWriter, parts: Parts) -> None:
    device = parts.trainer.strategy.root_device
    writer.take_stock(parts.model, parts.progress.seconds, device, parts.trainer.world_size)


def _why(error: BaseException, watch: ProcessWatchdog) -> tuple[str, str]:
    """Return the status and reason of a run that ended by this error."""
    if isinstance(error, DivergedError):
        return "diverged", str(error)
    if isinstance(error, Interrupted):
        return "interrupted", f"stopped by {error}"
    if isinstance(error, CutShortError):
        return "interrupted", str(error)
    if isinstance(error, SaveError):
        return "failed", one_line(error)
    if isinstance(error, Exception):
        return "failed", watch.explain(error) or f"{type(error).__name__}: {one_line(error)}"
    return "interrupted", "interrupted by the user"


# -- before the first step -----------------------------------------------------------------------


def _data(composed: Composed) -> DataModule:
    datamodule: DataModule = instantiate(composed.cfg.datamodule, "datamodule")
    with user_errors(ValueError, TypeError, OSError):
        datamodule.setup()
    datamodule.order_seed = fold_seed(composed.cfg.seed, ORDER)
    return datamodule


def _build(writer: RunWriter, datamodule: DataModule, bar: bool) -> Parts:
    """Build everything and refuse what cannot be trained."""
    composed, run, cfg = writer.composed, writer.run, writer.composed.cfg
    model = _model(composed, datamodule)
    budget = _budget(cfg.images_seen, model.images_per_step)
    with user_errors(ValueError):
        found = find_checkpoint(run.checkpoints, *run_ids(run, run.id))
        every = cfg.checkpoint_every_images or max(budget // CHECKPOINTS_PER_RUN, 1)
        checkpoints = Checkpoints(
            run.checkpoints,
            every,
            run.id,
            cfg.snapshot_every_images,
            cfg.checkpoint_every_minutes,
        )
        watch = ProcessWatchdog(cfg.process_timeout_seconds, partial(_died, writer))
    if found:
        _check_weights(model, *found)
    elif writer.record.status != "finished":  # before loggers begin
        _try(composed, datamodule, model, run.folder / "error.txt")
    path, images_seen = (found[0], found[1]["images_seen"]) if found else (None, 0)
    progress = Progress(run.progress_path, budget, f"{composed.experiment} s{cfg.seed}", bar)
    trainer = _trainer(
        cfg,
        max_epochs=-1,
        max_steps=budget // model.images_per_step,
        precision=cfg.precision,
        logger=instantiate(
            cfg.logger, "logger", folder=run.logs, run_id=run.id, images_seen=images_seen
        ),
        callbacks=[
            watch,
            SettingsAgreement(_agreed(composed, run, datamodule, images_seen)),
            Monitor(cfg.log_every_updates),
            SampleGrids(
                run.samples, cfg.sample_grid_every_images, fold_seed(cfg.seed, GRIDS), cfg.weights
            ),
            progress,
            *_tracker(writer, progress),
            checkpoints,  # last: what the others keep is saved with them
        ],
        default_root_dir=str(run.folder),
    )
    leave_signals_alone(trainer)
    _check_processes(trainer, datamodule, model)
    if cfg.data_on_device:
        datamodule.device = trainer.strategy.root_device
    return Parts(model, datamodule, trainer, progress, checkpoints, watch, path, budget)


def _check_trainer(cfg: DictConfig) -> None:
    """Refuse settings of the Trainer that are the suite's, or would change what is trained."""
    for key in map(str, cfg.trainer):
        if key.startswith("_") or key in OF_THE_TRAINER:
            continue
        word = OUR_WORDS.get(key)
        instead = f"; here it is {word}" if word else ""
        raise UserError(
            f"trainer.{key} must not be set{instead} (a Trainer is given "
            f"{', '.join(OF_THE_TRAINER)} only)"
        )
    accelerator = cfg.trainer.accelerator
    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available())
    if cfg.precision.startswith("16-") and on_cpu:
        # Lightning would train in bfloat16, and the record would say 16
        raise UserError(
            f"precision must be 32-true, 64-true, bf16-mixed or bf16-true on a CPU, which has no "
            f"training in float16, got {cfg.precision}"
        )


def _trainer(cfg: DictConfig, **settings: Any) -> Trainer:
    """Return a Trainer of the config's, with what is ours done by us."""
    trainer: Trainer = instantiate(
        cfg.trainer,
        "trainer",
        **settings,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    return trainer


def _check_weights(model: LitGenerativeModel, path: Path, checkpoint: dict[str, Any]) -> None:
    """Refuse a checkpoint of another model before anything is trained."""
    mine = {name: value.shape for name, value in model.state_dict().items()}
    theirs = {name: value.shape for name, value in checkpoint["state_dict"].items()}
    for name in sorted(mine.keys() ^ theirs.keys()) or [n for n in mine if mine[n] != theirs[n]]:
        raise UserError(
            f"checkpoint {path} must hold this model's weights, got another's ({name} differs)"
        )


def _died(writer: RunWriter, reason: str) -> None:
    """Write which process died; a run that an earlier call finished keeps what it has."""
    if writer.record.status != "finished":
        writer.end("failed", reason)


def _tracker(writer: RunWriter, progress: Progress) -> list[Tracker]:
    cfg, run = writer.composed.cfg, writer.run
    if cfg.track.protocol is None:
        return []
    return [
        Tracker(
            cfg.track,
            cfg.weights,
            run.checkpoints,
            run.id,
            writer.keep,
            progress,
        )
    ]


def _model(composed: Composed, datamodule: DataModule) -> LitGenerativeModel:
    """Build the model from its seed, and try its protocols on it."""
    cfg = composed.cfg
    torch.manual_seed(fold_seed(cfg.seed, INITIALISATION))
    model: LitGenerativeModel = instantiate(cfg.model, "model")
    model.noise_seed = fold_seed(cfg.seed, NOISE)
    _check_fit(model, datamodule)
    with user_errors(ValueError, TypeError), _sizes_fit(datamodule):
        model.weights = cfg.weights
        for name, protocol in _protocols(composed).items():
            built = instantiate(protocol, f"protocol {name}")
            built.check(ModelSource(model), datamodule)
            if name == cfg.track.protocol:
                check_best(cfg.track, built.value_names)
    try:
        model.configure_optimizers()
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"model: an optimizer cannot be built: {one_line(error)}") from error
    # before Lightning does so: it loads a checkpoint first, and would round it to float32
    model.to(parameter_dtype(cfg.precision))
    model.speed_up(cfg.channels_last, cfg.compile)
    return model


def _check_fit(model: LitGenerativeModel, datamodule: DataModule) -> None:
    """Refuse a model of other images or labels than the data's."""
    shape = getattr(model, "image_shape", None)
    if shape is not None and tuple(shape) != tuple(datamodule.shape):
        raise UserError(
            f"model.image_shape must be that of {datamodule.name}, "
            f"{tuple(datamodule.shape)}, got {tuple(shape)}"
        )
    wanted = getattr(model, "num_classes", None)
    if wanted is not None:
        highest = int(datamodule.split("train")[1].max())
        if highest >= wanted:
            raise UserError(
                f"model.num_classes must cover the labels of data set {datamodule.name}, got "
                f"{wanted} classes and labels up to {highest}"
            )


@contextmanager
def _sizes_fit(datamodule: DataModule) -> Iterator[None]:
    """Tell networks whose sizes do not fit each other, as they are tried, in one line."""
    try:
        yield
    except RuntimeError as error:
        raise UserError(
            f"model: its networks do not fit each other or data set {datamodule.name}: "
            f"{one_line(error)}"
        ) from error


def _check_processes(trainer: Trainer, datamodule: DataModule, model: LitGenerativeModel) -> None:
    if trainer.world_size > 1 and not isinstance(trainer.strategy, ReplicatedStrategy):
        raise UserError(
            "trainer.strategy must be ReplicatedStrategy (trainer=ddp or trainer=ddp_cpu) with "
            f"several processes, got {type(trainer.strategy).__name__}"
        )
    with user_errors(ValueError):
        BatchStream(
            *datamodule.split("train"), batch_size=model.batch_size, world_size=trainer.world_size
        )


def _agreed(
    composed: Composed, run: Run, datamodule: DataModule, images_seen: int
) -> dict[str, str]:
    """Return what all processes of a run must have in common."""
    cfg = composed.cfg
    return {
        "run id": run.id,
        "checkpoint": str(images_seen),
        "data fingerprint": str(datamodule.found_fingerprint),
        "protocols": ", ".join(cfg.protocols),
        "snapshot_protocols": ", ".join(cfg.snapshot_protocols),
        "weights": cfg.weights,
        "track": str(cfg.track),
    }


def _budget(images_seen: int, images_per_step: int) -> int:
    """Round a budget down to whole training steps."""
    budget = images_seen // images_per_step * images_per_step
    if budget == 0 < images_seen:
        raise UserError(
            f"images_seen must be 0 or at least one training step of {images_per_step} images, "
            f"got {images_seen}"
        )
    return budget


def _protocols(composed: Composed) -> dict[str, DictConfig]:
    """Return the configs of the protocols that the run's config names."""
    cfg = composed.cfg
    check_track(cfg.track, cfg.images_seen)
    if cfg.snapshot_protocols and cfg.snapshot_every_images is None:
        raise UserError("snapshot_every_images must be given with snapshot_protocols, got null")
    tracked = [] if cfg.track.protocol is None else [cfg.track.protocol]
    return {
        name: compose_group("protocol", name)
        for name in [*cfg.protocols, *cfg.snapshot_protocols, *tracked]
    }


def _to_do(writer: RunWriter) -> list[tuple[str, str]]:
    """Return the (protocol, checkpoint) pairs whose measurement the record lacks, last first."""
    composed, run, record = writer.composed, writer.run, writer.record
    snapshots = [str(images) for images in find_snapshots(run.checkpoints)]
    wanted = [(name, "last") for name in composed.cfg.protocols]
    if snapshot_path(run.checkpoints, BEST).exists():
        wanted += [(name, BEST) for name in composed.cfg.protocols]
    wanted += [(name, at) for at in snapshots for name in composed.cfg.snapshot_protocols]
    prints = {name: protocol_fingerprint(cfg) for name, cfg in _protocols(composed).items()}
    return [
        (name, checkpoint)
        for name, checkpoint in wanted
        if record.evaluation(prints[name], checkpoint, composed.cfg.weights) is None
    ]


def quiet() -> None:
    """Keep Lightning's hints off the terminal, and its probe out of the steps."""
    # it makes every optimizer step look for NVIDIA's library: .2 ms each where there is none
    os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
    for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in HARMLESS:
        warnings.filterwarnings("ignore", message=message)


# -- training and evaluation ---------------------------------------------------------------------


def _fit(parts: Parts) -> None:
    trainer, model = parts.trainer, parts.model
    with user_errors(DisagreementError):
        trainer.fit(
            model, datamodule=parts.datamodule, ckpt_path=parts.checkpoint, weights_only=True
        )
    resumed = None if parts.checkpoint is None else int(parts.checkpoint.stem)
    if model.images_seen not in (parts.checkpoints.saved_at, resumed):
        parts.checkpoints.save(trainer)


def _evaluate(writer: RunWriter, parts: Parts) -> Scoring:
    run = writer.run
    model, loaded, images_seen = parts.model, "last", parts.model.images_seen
    model.to(parts.trainer.strategy.root_device)
    to_do = parts.trainer.strategy.broadcast(_to_do(writer))
    scoring = Scoring(parts.datamodule, [name for name, _ in to_do])
    for name, checkpoint in to_do:
        if checkpoint != loaded:
            images_seen = load_into(model, run.checkpoints, checkpoint, *run_ids(run, run.id))
            loaded = checkpoint
            scoring.next_source()
        source = ModelSource(model)
        writer.keep(scoring(name, source, checkpoint, images_seen, model.weights))
    return scoring


def _note_if_nothing_was_learned(writer: RunWriter, parts: Parts, scoring: Scoring) -> None:
    """Note a first score that is no better than the untrained model's.

    A learning rate of 1,000 may leave every loss finite, and so a run that finishes. Only where
    the score is of few samples or images, on one process; a fault here takes nothing from the run.
    """
    composed, record = writer.composed, writer.record
    if not composed.cfg.protocols or parts.budget == 0 or parts.trainer.world_size > 1:
        return
    name = str(composed.cfg.protocols[0])
    trained = record.evaluation(
        protocol_fingerprint(_protocols(composed)[name]), "last", composed.cfg.weights
    )
    main = scoring.main_value(name, MOST_COMPARED)
    if trained is None or main is None:
        return
    with suppress(Exception):  # no score to compare with
        untrained = _model(composed, parts.datamodule).to(parts.trainer.strategy.root_device)
        scoring.next_source()
        before = scoring(name, ModelSource(untrained), "initial", 0, untrained.weights)
        record.notes = _no_better(name, main, before.metrics, trained.metrics)
        writer.write()


def _no_better(
    protocol: str,
    main: tuple[str, bool],
    before: Mapping[str, float | None],
    after: Mapping[str, float | None],
) -> list[str]:
    name, higher_is_better = main
    old, new = before.get(name), after.get(name)
    if old is None or new is None or (new > old if higher_is_better else new < old):
        return []
    return [f"{protocol}: {name} {new:.5g} is no better than the untrained model's {old:.5g}"]


def _summarize(loggers: Sequence[Logger], record: Record) -> None:
    last = [e for e in record.evaluations if e.checkpoint == "last"]
    values = {f"{e.protocol}/{k}": v for e in last for k, v in e.metrics.items()}
    for logger in loggers:
        if hasattr(logger, "summarize"):
            logger.summarize(values)
            logger.finalize("success")
