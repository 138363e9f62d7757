"""Scores during training: a curve, and the best snapshot by it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lightning import Callback, Trainer
from omegaconf import DictConfig

from benchmarks.errors import UserError
from benchmarks.evaluate import evaluate
from benchmarks.records import Evaluation
from benchmarks.sources import ModelSource
from lit_models.callbacks.checkpoints import crossed, save_snapshot

__all__ = ["BEST", "Tracker", "check_track"]

BEST = "best"  # the name of the kept snapshot


def check_track(track: DictConfig) -> None:
    """Check the settings under `track`.

    Raises:
        UserError: naming what is missing or wrong.
    """
    if (track.protocol is None) != (track.every_images is None):
        raise UserError(
            "track.protocol and track.every_images must be given together, "
            f"got {track.protocol} and {track.every_images}"
        )
    if track.every_images is not None and not (
        isinstance(track.every_images, int) and track.every_images >= 1
    ):
        raise UserError(f"track.every_images must be an integer >= 1, got {track.every_images}")
    if track.better not in ("lower", "higher"):
        raise UserError(f"track.better must be lower or higher, got {track.better}")
    if track.keep_best_by is not None and track.protocol is None:
        raise UserError("track.protocol must be given with track.keep_best_by, got null")


class Tracker(Callback):
    """Scores the model under one protocol at the first update at or past every N images.

    On all processes, with a generator of its own, so that training is untouched. Values go to the
    loggers as `track/<protocol>/<name>`, and to the record. Where a metric is named, the snapshot
    with its best value so far is kept; both are part of the checkpoint.

    Args:
        track: The settings: protocol, every_images, keep_best_by, better.
        weights: "raw" or "ema".
        folder: Of the snapshots.
        run_id: Of the run.
        keep: Takes each evaluation, on every process.
        config_dirs: The user's own config folders.
    """

    def __init__(
        self,
        track: DictConfig,
        weights: str,
        folder: Path,
        run_id: str,
        keep: Callable[[Evaluation], None],
        config_dirs: Sequence[str] = (),
    ) -> None:
        self.track, self.weights, self.folder, self.run_id = track, weights, folder, run_id
        self.keep, self.config_dirs = keep, config_dirs
        self.best: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now, step = pl_module.images_seen, pl_module.images_per_step
        if crossed(now, step, self.track.every_images):
            self._score(trainer, pl_module)

    def _score(self, trainer: Trainer, model: Any) -> None:
        model.weights, before = self.weights, model.weights
        found = evaluate(
            ModelSource(model),
            trainer.datamodule,
            self.track.protocol,
            str(model.images_seen),
            model.images_seen,
            self.weights,
            self.config_dirs,
        )
        model.weights = before
        self.keep(found)
        values = {f"track/{found.protocol}/{n}": v for n, v in found.metrics.items()}
        for logger in trainer.loggers:
            logger.log_metrics(values, step=model.images_seen)
        if self.track.keep_best_by is not None:
            self._keep_best(trainer, model, found)

    def _keep_best(self, trainer: Trainer, model: Any, found: Evaluation) -> None:
        name = self.track.keep_best_by
        if name not in found.metrics:
            raise UserError(
                f"track.keep_best_by must be one of {', '.join(found.metrics)}, got {name}"
            )
        value = found.metrics[name]
        assert value is not None
        sign = 1 if self.track.better == "lower" else -1
        if self.best is None or sign * value < sign * self.best:
            self.best = value
            if trainer.is_global_zero:
                save_snapshot(model, self.folder, BEST, self.run_id)
