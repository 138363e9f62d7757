"""A trial of a run before it begins: what would fail at its end fails in seconds, and is told.

A few updates of every player, the pictures, each protocol at its smallest: on a copy of the model,
in scratch space. Weights, buffers and generators of the run are as if there had been none.
"""

import copy
import random
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback, Trainer
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig
from torch import Tensor

from benchmarks.core.errors import UserError, one_line
from benchmarks.core.files import write_atomically
from benchmarks.core.redaction import redacted
from benchmarks.evaluation.scoring import BuiltProtocol
from benchmarks.evaluation.sources import ModelSource
from datamodules.base import BatchStream, DataModule
from lit_models.autoregressive.sampling import first_pixels_only
from lit_models.base import LitGenerativeModel
from lit_models.callbacks.monitor import DivergedError
from lit_models.callbacks.sample_grids import model_grids, save_png
from lit_models.training.interruption import Interrupted
from lit_models.training.lightning_internals import BATCH_NORM, leave_signals_alone

__all__ = ["try_out"]

UPDATES, UPDATE_SECONDS = 3, 1.5  # at most so many, and none begins after so many seconds
PIXELS = 1  # that an autoregressive model draws of each picture
TEST_IMAGES = 64  # which pictures show, and the most that a protocol sees
SEED = 0


def try_out(
    model: LitGenerativeModel,
    datamodule: DataModule,
    cfg: DictConfig,
    protocols: Mapping[str, BuiltProtocol],
    device: torch.device,
    error_file: Path | None = None,
) -> list[str]:
    """Try a model's training, pictures and protocols, on a copy.

    Args:
        model: As it will be trained; it stays as it is.
        datamodule: Set up.
        cfg: The run's config.
        protocols: The protocols that the run names, by name.
        device: Where this process will train.
        error_file: Where a traceback goes; None for nowhere.

    Returns:
        What was tried, a line each with its seconds.

    Raises:
        UserError: naming the part that failed, and why.
    """
    told: list[str] = []
    few = _Few(datamodule)

    def part(what: str, call: Callable[[], str | None]) -> None:
        began = time.monotonic()
        try:
            with suppress(DivergedError):  # a result, if the run comes to it as well
                what = call() or what
        except (UserError, Interrupted):
            raise
        except Exception as error:
            where = _keep(error, error_file)
            raise UserError(
                f"a trial of {what} failed, before anything was trained: {one_line(error)}{where}"
            ) from error
        told.append(f"{what} ({time.monotonic() - began:.1f} s)")

    with (
        _nothing_changes(device),
        first_pixels_only(PIXELS),
        tempfile.TemporaryDirectory() as scratch,
    ):
        tried = copy.deepcopy(model)
        tried.batch_size = min(model.batch_size, _images(model))
        part("the training step", lambda: _train(tried, datamodule, cfg, device))
        tried.to(device).weights = cfg.weights  # the Trainer has left it on the CPU
        if len(datamodule.shape) == 3:
            part("the pictures", lambda: _draw(tried, few, Path(scratch)))
        source = ModelSource(tried)
        for name, built in protocols.items():
            protocol = built.protocol
            part(f"protocol {name}", lambda protocol=protocol: protocol.try_out(source, few))
    return told


def _images(model: LitGenerativeModel) -> int:
    """Return how many images an update takes, if the batch has them: one where that is enough."""
    alone = model.automatic_optimization and not any(
        isinstance(m, BATCH_NORM) for m in model.modules()
    )
    return 1 if alone else 2


def _train(
    model: LitGenerativeModel, datamodule: DataModule, cfg: DictConfig, device: torch.device
) -> str:
    """Train for a few updates by a Trainer of its own, on this process's device."""
    enough = _Enough()
    trainer = Trainer(
        accelerator=device.type,
        devices=1 if device.type == "cpu" else [device.index or 0],
        plugins=[LightningEnvironment()],  # one process, whatever the run has
        precision=cfg.precision,
        max_steps=UPDATES,
        max_epochs=-1,
        logger=False,
        callbacks=[enough],
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    leave_signals_alone(trainer)
    x, labels = datamodule.split("train")
    stream = BatchStream(x, labels, model.batch_size, model.batches_per_step)
    trainer.fit(model, train_dataloaders=stream)
    return f"{enough.updates} updates of {model.images_per_step} images"


class _Enough(Callback):
    """Ends a trial's training once it has taken long enough."""

    def __init__(self) -> None:
        self.began, self.updates = time.monotonic(), 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.updates += 1
        if time.monotonic() - self.began > UPDATE_SECONDS:
            trainer.should_stop = True


def _draw(model: LitGenerativeModel, few: Any, scratch: Path) -> None:
    found = model_grids(model, few, torch.Generator().manual_seed(SEED))
    for name, grid in found.items():
        save_png(grid, scratch / f"{name}.png")


class _Few:
    """A data set of which only a few test and validation images are seen."""

    def __init__(self, datamodule: DataModule) -> None:
        self._datamodule = datamodule

    def __getattr__(self, name: str) -> Any:
        return getattr(self._datamodule, name)

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        """Return a split's examples and labels."""
        x, labels = self._datamodule.split(name)
        count = len(x) if name == "train" else TEST_IMAGES
        return x[:count], labels[:count]


def _keep(error: Exception, path: Path | None) -> str:
    """Write the traceback of a fault that its message may not explain; return where it is."""
    if path is None or isinstance(error, ValueError):
        return ""
    write_atomically(path, redacted("".join(traceback.format_exception(error))))
    return f" (traceback: {path})"


@contextmanager
def _nothing_changes(device: torch.device) -> Iterator[None]:
    """Leave every global generator, and this process's rank, as they were."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    rank = getattr(rank_zero_only, "rank", None)
    devices = range(torch.cuda.device_count()) if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        if rank is not None:
            rank_zero_only.rank = rank
