"""Grids of samples: drawn from a generator of their own, so that training is untouched."""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback, Trainer
from PIL import Image
from torch import Tensor, nn

from lit_models.images import round_to_uint8
from lit_models.training.clock import crossed
from lit_models.training.files import write_atomically

__all__ = ["SampleGrids", "image_grid", "model_grids", "sampling", "save_png"]


@contextmanager
def sampling(model: nn.Module) -> Iterator[None]:
    """Put a model in inference mode without gradients; its mode is restored."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def image_grid(images: Tensor, columns: int) -> np.ndarray:
    """Return uint8 (H', W', C) of images (N, C, H, W) in [0, 255], row by row, 2 pixels apart."""
    pixels = round_to_uint8(images).cpu().numpy()
    count, channels, height, width = pixels.shape
    rows = math.ceil(count / columns)
    grid = np.full((rows * (height + 2) - 2, columns * (width + 2) - 2, channels), 255, np.uint8)
    for i, image in enumerate(pixels):
        top, left = i // columns * (height + 2), i % columns * (width + 2)
        grid[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    return grid


def model_grids(model: Any, datamodule: Any, generator: torch.Generator) -> dict[str, np.ndarray]:
    """Return what a model shows of itself, beside 64 test images where it takes any."""
    x, labels = (t[:64].to(model.device) for t in datamodule.split("test"))
    with sampling(model):
        found = model.grids(model.encode(x), labels, generator)
        return {n: image_grid(model.to_images(x), columns) for n, (x, columns) in found.items()}


class SampleGrids(Callback):
    """Writes pictures every N images and at the end.

    `<images_seen>.png` shows 64 samples; what else a model shows of itself is in
    `<name>-<images_seen>.png`.

    Args:
        folder: Where the pictures go.
        every_images: Distance; None for the end only.
        seed: The seed of the samples' generator, the same at every time.
        weights: "raw" or "ema".
    """

    def __init__(self, folder: Path, every_images: int | None, seed: int, weights: str) -> None:
        if every_images is not None and every_images < 1:
            raise ValueError(f"sample_grid_every_images must be >= 1, got {every_images}")
        self.folder, self.every_images = folder, every_images
        self.seed, self.weights = seed, weights

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now, step = pl_module.images_seen, pl_module.images_per_step
        if self.every_images and crossed(now, step, self.every_images):
            self.draw(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.draw(trainer, pl_module)

    def draw(self, trainer: Trainer, model: Any) -> None:
        """Draw, save and log one grid, on the first process."""
        if not trainer.is_global_zero or len(trainer.datamodule.shape) != 3:
            return
        generator = torch.Generator().manual_seed(self.seed)
        model.weights, before = self.weights, model.weights
        found = model_grids(model, trainer.datamodule, generator)
        model.weights = before
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, grid in found.items():
            prefix = "" if name == "samples" else f"{name}-"
            save_png(grid, self.folder / f"{prefix}{model.images_seen}.png")
            for logger in trainer.loggers:
                if hasattr(logger, "log_image"):
                    logger.log_image(name, [grid], step=model.images_seen)


def save_png(grid: np.ndarray, path: Path) -> None:
    """Write a uint8 (H, W, C) array with 1 or 3 channels."""
    out = io.BytesIO()
    Image.fromarray(grid[..., 0] if grid.shape[2] == 1 else grid).save(out, format="PNG")
    write_atomically(path, out.getvalue())
