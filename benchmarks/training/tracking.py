"""Scores during training: a curve, and the best snapshot by it."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from lightning import Callback, Trainer
from omegaconf import DictConfig, OmegaConf
from pydantic.dataclasses import dataclass

from benchmarks.config.schema import STRICT, Count, Text, parse
from benchmarks.core.errors import UserError, user_errors
from benchmarks.evaluation.scoring import Scoring
from benchmarks.evaluation.sources import ModelSource
from benchmarks.runs.record import Evaluation
from lit_models.callbacks.progress import Progress
from lit_models.training.checkpoint_files import save_snapshot
from lit_models.training.clock import crossed

__all__ = ["BEST", "Tracker", "check_best", "check_track"]

BEST = "best"  # the name of the kept snapshot


@dataclass(frozen=True, config=STRICT)
class Track:
    """The settings under `track`: what is scored in training, and how often.

    Attributes:
        protocol: Name of the protocol; None for no scores.
        every_images: Images between two scores.
        keep_best_by: The metric by which the best snapshot is kept; None for none.
        better: Which values of that metric are better.
    """

    protocol: Text | None
    every_images: Count | None
    keep_best_by: Text | None
    better: Literal["lower", "higher"] | None

    def __post_init__(self) -> None:
        if (self.protocol is None) != (self.every_images is None):
            raise ValueError(
                "protocol and every_images must be given together, "
                f"got {self.protocol} and {self.every_images}"
            )
        if self.keep_best_by is not None and self.protocol is None:
            raise ValueError("protocol must be given with keep_best_by, got null")
        if (self.keep_best_by is None) != (self.better is None):
            raise ValueError(
                "better (lower or higher) must be given with keep_best_by, "
                f"got {self.better} and {self.keep_best_by}"
            )


def check_track(track: Any, images_seen: int) -> None:
    """Check the settings under `track` of a run of this length.

    Raises:
        UserError: naming what is missing or wrong.
    """
    with user_errors(ValueError):
        values = (
            OmegaConf.to_container(track, resolve=True) if OmegaConf.is_config(track) else track
        )
        every = parse(Track, values, "track").every_images
    if every is not None and every > images_seen:
        raise UserError(
            f"track.every_images must be an integer in 1 .. {images_seen} (images_seen), "
            f"got {every}"
        )


def check_best(track: DictConfig, known: Sequence[str]) -> None:
    """Check that the protocol gives the value by which the best snapshot is kept.

    Raises:
        UserError: naming those that it gives.
    """
    if track.keep_best_by is not None and track.keep_best_by not in known:
        raise UserError(
            f"track.keep_best_by must be one of {', '.join(known)}, got {track.keep_best_by}"
        )


class Tracker(Callback):
    """Scores the model under one protocol at the first update at or past every N images.

    On all processes, with a generator of its own, so that training is untouched. Values go to the
    loggers as `track/<protocol>/<name>`, and to the record. Where a metric is named, the snapshot
    with its best value so far is kept; both are part of the checkpoint.

    Args:
        track: The settings: protocol, every_images, keep_best_by, better.
        weights: "raw" or "ema".
        folder: The folder of the snapshots.
        run_id: The id of the run.
        keep: Takes each evaluation, on every process.
        scoring: Scores the run's model.
        progress: Whose clock of training leaves the scores out.
    """

    def __init__(
        self,
        track: DictConfig,
        weights: str,
        folder: Path,
        run_id: str,
        keep: Callable[[Evaluation], None],
        scoring: Scoring,
        progress: Progress,
    ) -> None:
        self.track, self.weights, self.folder, self.run_id = track, weights, folder, run_id
        self.keep, self.scoring, self.progress = keep, scoring, progress
        self.best: float | None = None
        self._scored_at = 0  # images_seen

    @property
    def _best_of(self) -> list[str]:
        """What the best value is of; another choice begins anew."""
        return [
            self.track.protocol,
            str(self.track.keep_best_by),
            str(self.track.better),
            self.weights,
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far, of what, and when the last score was taken."""
        return {"best": self.best, "of": self._best_of, "scored_at": self._scored_at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._scored_at = state_dict["scored_at"]
        self.best = state_dict["best"] if state_dict["of"] == self._best_of else None

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Catch up on the score in which the run was stopped."""
        now, step = pl_module.images_seen, pl_module.images_per_step
        if self._scored_at != now > 0 and crossed(now, step, self.track.every_images):
            self._score(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now, step = pl_module.images_seen, pl_module.images_per_step
        if crossed(now, step, self.track.every_images):
            self._score(trainer, pl_module)

    def _score(self, trainer: Trainer, model: Any) -> None:
        self.scoring.next_source()
        model.weights, before = self.weights, model.weights
        seen = model.images_seen
        try:
            with self.progress.paused():
                found = self.scoring(
                    self.track.protocol, ModelSource(model), str(seen), seen, self.weights
                )
        finally:
            model.weights = before
        self.keep(found)
        self._scored_at = seen
        values: Any = {f"track/{found.protocol}/{n}": v for n, v in found.metrics.items()}
        for logger in trainer.loggers:
            logger.log_metrics(values, step=seen)
        if self.track.keep_best_by is not None:
            self._keep_best(trainer, model, found.metrics[self.track.keep_best_by])

    def _keep_best(self, trainer: Trainer, model: Any, value: float | None) -> None:
        if value is None or not math.isfinite(value):
            return
        sign = 1 if self.track.better == "lower" else -1
        if self.best is None or sign * value < sign * self.best:
            self.best = value
            if trainer.is_global_zero:
                save_snapshot(model, self.folder, BEST, self.run_id)
