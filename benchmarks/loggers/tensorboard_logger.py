"""TensorBoard's event files, one folder per run, with one history over its restarts."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from benchmarks.loggers.base import OneHistory, check_installed
from benchmarks.loggers.csv_logger import CsvLogger

__all__ = ["ImagesSeenTensorBoardLogger", "read_events", "tensorboard_logger"]

FOLDER = "tensorboard"  # of a run's logs


class ImagesSeenTensorBoardLogger(OneHistory, TensorBoardLogger):
    """Lightning's logger, written out at once: a kill takes nothing."""

    def put_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        super().put_metrics(metrics, step)
        self.experiment.flush()

    def put_image(self, key: str, image: np.ndarray, step: int) -> None:
        self.experiment.add_image(key, image, step, dataformats="HWC")
        self.experiment.flush()


def tensorboard_logger(
    folder: Path, run_id: str, images_seen: int, history: CsvLogger
) -> ImagesSeenTensorBoardLogger:
    """Build the logger of a run.

    Args:
        folder: The run's folder for logs.
        run_id: The id of the run.
        images_seen: Where the run goes on; one that begins anew begins its events anew.
        history: The run's `metrics.csv`.

    Raises:
        UserError: without the package.
    """
    check_installed("tensorboard", "tensorboard")
    logger = ImagesSeenTensorBoardLogger(folder, name=FOLDER, version="", default_hp_metric=False)
    _begin(logger, folder / FOLDER, images_seen, history)
    return logger


@rank_zero_only
def _begin(
    logger: ImagesSeenTensorBoardLogger, folder: Path, images_seen: int, history: CsvLogger
) -> None:
    if images_seen == 0:
        for path in folder.glob("events.*"):
            path.unlink()
    found = read_events(folder)
    logger.begin(history, images_seen, {(step, name) for name, step in found})


def read_events(folder: Path) -> dict[tuple[str, int], float | None]:
    """Return what a run's event files hold: scalars by (name, images_seen); None for a picture.

    Raises:
        ValueError: if one of them is there twice.
    """
    if not folder.is_dir():
        return {}
    # lazily: it is an extra
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    tags = events.Tags()
    found: list[tuple[tuple[str, int], float | None]] = []
    for name in tags["scalars"]:
        found += [((name, event.step), event.value) for event in events.Scalars(name)]
    for name in tags["images"]:
        found += [((name, event.step), None) for event in events.Images(name)]
    if len(dict(found)) < len(found):
        raise ValueError(f"{folder} must hold each value once")
    return dict(found)
