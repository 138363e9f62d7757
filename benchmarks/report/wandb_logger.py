"""Weights & Biases: one run per run id, on the first process, offline where there is no key."""

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from benchmarks.records import write_atomically
from benchmarks.redaction import redacted

__all__ = ["ImagesSeenWandbLogger", "has_key", "wandb_logger"]


def has_key() -> bool:
    """Return whether a key is set, in the environment or by `wandb login`."""
    import netrc

    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (FileNotFoundError, netrc.NetrcParseError):
        return False


class ImagesSeenWandbLogger(WandbLogger):
    """Lightning's logger with images_seen as the x axis of everything."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.experiment.log({**metrics, "images_seen": step}, step=step)

    @rank_zero_only
    def log_image(
        self, key: str, images: Sequence[np.ndarray], step: int | None = None, **kwargs: Any
    ) -> None:
        import wandb

        pictures = [wandb.Image(image) for image in images]
        self.experiment.log({key: pictures, "images_seen": step}, step=step)

    @rank_zero_only
    def summarize(self, values: Mapping[str, Any]) -> None:
        """Put values into the run's summary."""
        self.experiment.summary.update(dict(values))


def wandb_logger(
    folder: Path,
    run_id: str,
    images_seen: int,
    project: str,
    entity: str | None,
    group: str | None,
    tags: Sequence[str],
    mode: str | None,
) -> ImagesSeenWandbLogger:
    """Build the logger of a run; a restart goes on under the same id.

    The id is the run's with a suffix, drawn when the run begins and kept beside its logs: the same
    run of two users, or begun twice, is two runs on the server.

    Args:
        folder: The run's folder for logs.
        run_id: Name of the run, and the beginning of its id.
        images_seen: Where the run goes on (the server keeps the x axis, nothing is dropped).
        project: Project.
        entity: Team or user, or None.
        group: Group, or None.
        tags: Tags.
        mode: "online", "offline", "disabled"; None for WANDB_MODE, else online with a key, else
            offline.
    """
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    logger = ImagesSeenWandbLogger(
        name=run_id,
        id=_kept_id(folder, run_id, begins=images_seen == 0),
        project=redacted(project),
        save_dir=str(folder),
        entity=entity,
        group=group and redacted(group),
        tags=[redacted(tag) for tag in tags],
        mode=mode or os.environ.get("WANDB_MODE") or ("online" if has_key() else "offline"),
        resume="allow",
        # the command line and the machine's name stay here
        settings=wandb.Settings(x_disable_meta=True),
    )
    _use_images_seen(logger)
    return logger


def _kept_id(folder: Path, run_id: str, begins: bool) -> str:
    path = folder / "wandb_id"
    if rank_zero_only.rank == 0 and (begins or not path.exists()):
        write_atomically(path, f"{run_id}-{secrets.token_hex(3)}\n")
    return path.read_text().strip() if path.exists() else run_id


@rank_zero_only
def _use_images_seen(logger: ImagesSeenWandbLogger) -> None:
    logger.experiment.define_metric("images_seen")
    logger.experiment.define_metric("*", step_metric="images_seen")
