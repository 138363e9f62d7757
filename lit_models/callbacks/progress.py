"""Progress of a run: a bar with time left, and a small file that others can read."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lightning import Callback, Trainer
from tqdm import tqdm

__all__ = ["Progress"]


class Progress(Callback):
    """Counts images. It looks at the clock once per update and acts at most once a second.

    Args:
        path: File for others: {"images_seen", "budget_images", "seconds_left"}.
        budget_images: Length of the run.
        label: Shown before the bar.
        bar: Whether to draw one.

    Attributes:
        seconds: The seconds of training so far, restarts included.
    """

    def __init__(self, path: Path, budget_images: int, label: str, bar: bool) -> None:
        self.path, self.budget_images = path, budget_images
        self.label, self.bar = label, bar
        self.seconds = 0.0
        self._next = 0.0

    def state_dict(self) -> dict[str, float]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        self.seconds = state_dict["seconds"]

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._started, self._begin = time.monotonic(), pl_module.images_seen
        self._last = self._started
        self._tqdm = None
        if self.bar and trainer.is_global_zero:
            self._tqdm = tqdm(
                total=self.budget_images,
                initial=self._begin,
                desc=self.label,
                unit="img",
                unit_scale=True,
                file=sys.stderr,
                mininterval=0.5,
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        self.seconds += now - self._last
        self._last = now
        if now >= self._next and trainer.is_global_zero:
            self._next = now + 1.0
            self._show(pl_module.images_seen)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out of the seconds what is no training."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._last += time.monotonic() - began

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.is_global_zero:
            self._show(pl_module.images_seen)
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        self._close()

    def _show(self, images_seen: int) -> None:
        seconds = time.monotonic() - self._started
        rate = (images_seen - self._begin) / seconds if seconds > 0 else 0
        left = (self.budget_images - images_seen) / rate if rate > 0 else None
        values = {
            "images_seen": images_seen,
            "budget_images": self.budget_images,
            "seconds_left": left,
        }
        part = self.path.with_suffix(".part")
        with suppress(OSError):  # a full disk ends a run at its next checkpoint, not here
            part.write_text(json.dumps(values), encoding="utf-8")
            part.replace(self.path)
        if self._tqdm is not None:
            self._tqdm.update(images_seen - self._tqdm.n)

    def _close(self) -> None:
        if getattr(self, "_tqdm", None) is not None:
            self._tqdm.close()
            self._tqdm = None
