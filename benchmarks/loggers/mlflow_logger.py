"""MLflow: one run per run, in a database of the working space or on a server."""

import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import MLFlowLogger
from lightning.pytorch.utilities import rank_zero_only

from benchmarks.core.errors import UserError, one_line
from benchmarks.core.files import write_atomically
from benchmarks.core.paths import outputs_dir
from benchmarks.core.redaction import redacted
from benchmarks.loggers.base import OneHistory, check_installed
from benchmarks.loggers.csv_logger import CsvLogger
from benchmarks.runs.lock import held

__all__ = ["ImagesSeenMlflowLogger", "mlflow_logger"]

ID = "mlflow_id"  # file of a run's logs
NOISY = ("mlflow", "alembic")


class ImagesSeenMlflowLogger(OneHistory, MLFlowLogger):
    """Lightning's logger, of a run that there is."""

    def put_image(self, key: str, image: np.ndarray, step: int) -> None:
        pixels = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
        self.experiment.log_image(self.run_id, pixels, artifact_file=f"{key}/{step}.png")


def mlflow_logger(
    folder: Path,
    run_id: str,
    images_seen: int,
    history: CsvLogger,
    experiment: str,
    tracking_uri: str | None,
    tags: Mapping[str, str],
) -> ImagesSeenMlflowLogger:
    """Build the logger of a run; a restart goes on with the same run of MLflow's.

    Its id is kept beside the run's logs. MLflow's files are in maintenance, so the local store is
    a database, `mlflow.db` in the outputs, which all runs there share.

    Args:
        folder: The run's folder for logs.
        run_id: The id of the run.
        images_seen: Where the run goes on; one that begins anew is another one of MLflow's, and
            the one before is deleted there.
        history: The run's `metrics.csv`.
        experiment: Name of MLflow's experiment.
        tracking_uri: Of a server or database; None for MLFLOW_TRACKING_URI, else the local one.
        tags: Tags of the run.

    Raises:
        UserError: without the package, or if the store cannot be opened.
    """
    check_installed("mlflow", "mlflow")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it would tell of each call
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or _uri_of(_database())
    name = "/".join((*folder.absolute().parts[-4:-2], run_id))  # experiment, data set, id
    marks = {key: redacted(str(value)) for key, value in tags.items()}
    try:
        mlflow_id = _run_of(folder, uri, redacted(experiment), redacted(name), marks, images_seen)
    except Exception as error:  # of any library below it
        raise UserError(f"MLflow cannot open {redacted(uri)}: {one_line(error)}") from error
    logger = ImagesSeenMlflowLogger(redacted(experiment), tracking_uri=uri, run_id=mlflow_id)
    _begin(logger, images_seen, history)
    return logger


@rank_zero_only
def _run_of(
    folder: Path, uri: str, experiment: str, name: str, tags: Mapping[str, str], images_seen: int
) -> str:
    """Return the id of the run that goes on, or of one that begins.

    It is made here: Lightning's logger would tell the store the user's name and command line.
    """
    # lazily: it is an extra, and takes seconds
    from mlflow.tracking import MlflowClient

    for noisy in NOISY:  # its import sets them
        logging.getLogger(noisy).setLevel(logging.ERROR)
    path = folder / ID
    with held(outputs_dir() / ".mlflow.lock", wait=True):  # two that make the tables would fail
        if uri == _uri_of(_database()) and not _database().exists():
            _make(_database())
        client = MlflowClient(uri)
        known = path.read_text(encoding="utf-8").strip() if path.exists() else None
        there = None if known is None else _found(client, known)
        if there is not None and images_seen > 0:
            client.update_run(known, status="RUNNING")
            return str(known)
        if there is not None:
            client.delete_run(known)
        found = client.get_experiment_by_name(experiment)
        where = (outputs_dir() / "mlartifacts").absolute().as_uri() if ":///" in uri else None
        number = found.experiment_id if found else client.create_experiment(experiment, where)
        begun = client.create_run(number, tags=dict(tags), run_name=name).info.run_id
    write_atomically(path, f"{begun}\n")
    return str(begun)


def _database() -> Path:
    return (outputs_dir() / "mlflow.db").absolute()


def _uri_of(database: Path) -> str:
    return f"sqlite:///{database}"


def _make(database: Path) -> None:
    """Make the local store, whole or not at all: a kill in between would leave one for good."""
    # lazily: it is an extra
    from mlflow.tracking import MlflowClient

    part = database.with_name(f".{database.name}.{secrets.token_hex(4)}.part")
    try:
        MlflowClient(_uri_of(part)).search_experiments(max_results=1)
        part.replace(database)
    finally:
        part.unlink(missing_ok=True)


def _found(client: Any, mlflow_id: str) -> Any:
    """Return a run of MLflow's; None if this store has none of that id, or has deleted it."""
    # lazily: it is an extra
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(mlflow_id)
    except MlflowException:
        return None
    return run if run.info.lifecycle_stage == "active" else None


@rank_zero_only
def _begin(logger: ImagesSeenMlflowLogger, images_seen: int, history: CsvLogger) -> None:
    client, mlflow_id = logger.experiment, logger.run_id
    names = client.get_run(mlflow_id).data.metrics
    logger.begin(
        history,
        images_seen,
        {(m.step, name) for name in names for m in client.get_metric_history(mlflow_id, name)},
    )
