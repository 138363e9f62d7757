"""What is refused before anything is trained, in one line each."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from omegaconf import DictConfig

from benchmarks.core.errors import UserError, one_line, user_errors
from benchmarks.core.paths import outputs_dir
from benchmarks.evaluation.scoring import BuiltProtocol
from benchmarks.evaluation.sources import ModelSource
from benchmarks.runs.folder import Run
from benchmarks.runs.record import readable_record
from benchmarks.training.tracking import check_best
from datamodules.base import BatchStream, DataModule
from lit_models.base import LitGenerativeModel
from lit_models.capabilities import check_contract
from lit_models.training.distributed import ReplicatedStrategy

__all__ = [
    "check_fit",
    "check_not_begun_before",
    "check_pictures",
    "check_processes",
    "check_protocols",
    "check_trainer",
    "check_weights",
    "whole_updates",
]

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


def check_trainer(cfg: DictConfig) -> None:
    """Refuse settings of the Trainer that are the suite's, or would change what is trained.

    Raises:
        UserError: naming the setting, and the suite's word for it.
    """
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


def check_not_begun_before(run: Run) -> None:
    """Refuse to begin anew what an earlier version has begun under another id.

    Raises:
        UserError: naming its folder, and the command that brings it over.
    """
    seed = run.id.rsplit("-s", 1)[1]
    for path in run.folder.parent.glob(f"*-s{seed}/record.json"):
        other = readable_record(path)
        if path.parent != run.folder and other is not None and other.run_id == run.id:
            raise UserError(
                f"run {path.parent} was begun by an earlier version: `dgmbench migrate "
                f"{outputs_dir()}` gives it the id that it has now, and this command continues it"
            )


def check_fit(model: LitGenerativeModel, data: DataModule) -> None:
    """Refuse a model that lacks a part of what it offers, or of other images or labels.

    Raises:
        UserError: naming what does not fit.
    """
    with user_errors(ValueError):
        check_contract(model)
    if model.image_shape is not None and tuple(model.image_shape) != tuple(data.shape):
        raise UserError(
            f"model.image_shape must be that of {data.name}, {tuple(data.shape)}, got "
            f"{tuple(model.image_shape)}"
        )
    if model.num_classes is not None:
        highest = int(data.split("train")[1].max())
        if highest >= model.num_classes:
            raise UserError(
                f"model.num_classes must cover the labels of data set {data.name}, got "
                f"{model.num_classes} classes and labels up to {highest}"
            )


def check_pictures(cfg: DictConfig, data: DataModule) -> None:
    """Refuse pictures in training of what is no image.

    Raises:
        UserError: naming the setting, and the verb that draws points.
    """
    every = cfg.sample_grid_every_images
    if every is not None and len(data.shape) != 3:
        raise UserError(
            f"sample_grid_every_images must be null for {data.name}, which holds no images, got "
            f"{every} (`dgmbench pictures RUN checkpoint=all` draws the snapshots of a run)"
        )


def check_protocols(
    model: LitGenerativeModel,
    data: DataModule,
    protocols: Mapping[str, BuiltProtocol],
    track: DictConfig,
) -> None:
    """Try the protocols of a run on its model.

    Raises:
        UserError: naming what does not fit.
    """
    with user_errors(ValueError, TypeError), _sizes_fit(data):
        for name, built in protocols.items():
            built.protocol.check(ModelSource(model), data)
            if name == track.protocol:
                check_best(track, built.protocol.value_names)


@contextmanager
def _sizes_fit(data: DataModule) -> Iterator[None]:
    """Tell networks whose sizes do not fit each other, as they are tried, in one line."""
    try:
        yield
    except RuntimeError as error:
        raise UserError(
            f"model: its networks do not fit each other or data set {data.name}: {one_line(error)}"
        ) from error


def check_weights(model: LitGenerativeModel, path: Path, checkpoint: dict[str, Any]) -> None:
    """Refuse a checkpoint of another model before anything is trained.

    Raises:
        UserError: naming the first parameter that differs.
    """
    mine = {name: value.shape for name, value in model.state_dict().items()}
    theirs = {name: value.shape for name, value in checkpoint["state_dict"].items()}
    for name in sorted(mine.keys() ^ theirs.keys()) or [n for n in mine if mine[n] != theirs[n]]:
        raise UserError(
            f"checkpoint {path} must hold this model's weights, got another's ({name} differs)"
        )


def check_processes(trainer: Trainer, data: DataModule, model: LitGenerativeModel) -> None:
    """Refuse several processes that would not train as one, and a batch that they cannot share.

    Raises:
        UserError: naming the setting.
    """
    if trainer.world_size > 1 and not isinstance(trainer.strategy, ReplicatedStrategy):
        raise UserError(
            "trainer.strategy must be ReplicatedStrategy (trainer=ddp or trainer=ddp_cpu) with "
            f"several processes, got {type(trainer.strategy).__name__}"
        )
    with user_errors(ValueError):
        BatchStream(
            *data.split("train"), batch_size=model.batch_size, world_size=trainer.world_size
        )


def whole_updates(images_seen: int, images_per_step: int) -> int:
    """Round a budget down to whole training steps.

    Raises:
        UserError: if it is less than one.
    """
    budget = images_seen // images_per_step * images_per_step
    if budget == 0 < images_seen:
        raise UserError(
            f"images_seen must be 0 or at least one training step of {images_per_step} images, "
            f"got {images_seen}"
        )
    return budget
