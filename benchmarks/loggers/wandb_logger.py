"""Weights & Biases: one run per run id, on the first process, offline where there is no key."""

import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import wandb
from google.protobuf.message import DecodeError
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from wandb.errors import AuthenticationError
from wandb.proto import wandb_internal_pb2
from wandb.sdk.lib import wbauth

from benchmarks.core.errors import UserError, one_line
from benchmarks.core.files import write_atomically
from benchmarks.core.redaction import redacted
from benchmarks.loggers.csv_logger import CsvLogger

__all__ = [
    "ImagesSeenWandbLogger",
    "OfflineRun",
    "has_key",
    "log_table",
    "offline_folders",
    "read_offline",
    "wandb_logger",
]

BLOCK, HEADER = 32 * 1024, 7  # of a LevelDB log
MODES = ("online", "offline", "shared", "disabled")
ALIASES = {"dryrun": "offline", "run": "online"}  # older names, which W&B still takes
FLUSH_SECONDS = 1.0  # what a kill may take; 15 where wandb decides


def has_key() -> bool:
    """Return whether W&B finds a key for the server that it would log to.

    W&B itself is asked, since it looks at more than one place: WANDB_API_KEY, the file that NETRC
    names or ~/.netrc, its own settings, each for the server of WANDB_BASE_URL or of its settings.

    Raises:
        UserError: if there is one of a wrong form.
    """
    try:
        found = wbauth.authenticate_session(
            host=_settings().base_url, source="dgmbench", prompt=False, update_session=False
        )
    except (AuthenticationError, wandb.errors.UsageError) as error:
        raise UserError(f"W&B's key is of a wrong form: {one_line(error)}") from error
    return found is not None


def _settings() -> Any:
    """Return W&B's own settings, of its files and of the environment as it is now."""
    try:
        settings = wandb.setup().settings.model_copy()
        settings.update_from_env_vars(dict(os.environ))
    except ValueError as error:  # such as WANDB_MODE=ofline
        raise UserError(f"a setting of W&B is wrong: {one_line(error)}") from error
    return settings


class ImagesSeenWandbLogger(WandbLogger):
    """Lightning's logger with images_seen as the x axis of everything.

    Attributes:
        held: Names that earlier lives of the run logged offline, by images_seen. A run that was
            killed goes on from its last checkpoint and comes by them again, with the same values
            (on one machine; to rounding on another). A server sorts them out by itself.
    """

    held: Mapping[int, set[str]] = {}
    _pending = False  # wandb writes a step when it is told of the next one
    _gone = False

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        held = self.held.get(step or 0, set())
        new = {name: value for name, value in metrics.items() if name not in held}
        if new:
            self._log(new, step)

    @rank_zero_only
    def log_image(
        self, key: str, images: Sequence[np.ndarray], step: int | None = None, **kwargs: Any
    ) -> None:
        if key in self.held.get(step or 0, set()):
            return
        pictures = [wandb.Image(image) for image in images]
        self._log({key: pictures}, step)

    def _log(self, values: Mapping[str, Any], step: int | None) -> None:
        self._tell(lambda run: run.log({**values, "images_seen": step}, step=step))
        self._pending = True

    def _tell(self, call: Callable[[Any], None]) -> None:
        """Call wandb; a run goes on without it.

        Its process ends at once at a SIGTERM, which SLURM sends to every process of a job.
        """
        if self._gone:
            return
        try:
            call(self.experiment)
        except Exception as error:  # of any library below it
            self._gone = True
            said = f"dgmbench: W&B is gone ({one_line(error)}); the run goes on without it"
            print(redacted(said), file=sys.stderr, flush=True)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Have the last step written: a kill in the evaluation would take it."""
        if self._pending:
            self._tell(lambda run: run.log({}, commit=True))
            self._pending = False
        super().finalize(status)

    @rank_zero_only
    def summarize(self, values: Mapping[str, Any]) -> None:
        """Put values into the run's summary."""
        self._tell(lambda run: run.summary.update(dict(values)))


def wandb_logger(
    folder: Path,
    run_id: str,
    images_seen: int,
    history: CsvLogger,
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
        images_seen: Where the run goes on (the server keeps the x axis). What is in its offline
            files from there on, from before a kill, is not logged again.
        history: The run's `metrics.csv`, which holds all of it whichever loggers a part had.
        project: Project.
        entity: Team or user, or None.
        group: Group, or None.
        tags: Tags.
        mode: "online", "offline", "shared", "disabled"; None for W&B's own setting (WANDB_MODE,
            `wandb offline`), else online with a key, else offline.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wandb_id, mode = _kept_id(folder, run_id, begins=images_seen == 0), _mode(mode)
    logger = ImagesSeenWandbLogger(
        name=run_id,
        id=wandb_id,
        project=redacted(project),
        save_dir=str(folder),
        entity=entity,
        group=group and redacted(group),
        tags=[redacted(tag) for tag in tags],
        mode=mode,
        resume="allow",
        # the command line and the machine's name stay here
        settings=wandb.Settings(
            x_disable_meta=True, x_transaction_log_flush_interval=FLUSH_SECONDS
        ),
    )
    if mode == "offline":
        logger.held = _held(folder, wandb_id, images_seen)
    _use_images_seen(logger)
    if images_seen > 0:
        _log_what_another_logger_had(logger, history, folder, wandb_id, images_seen)
    return logger


def _mode(mode: str | None) -> str:
    """Return the mode that is meant: given, W&B's setting, or by whether there is a key.

    Raises:
        UserError: for one that W&B does not know.
    """
    if mode is None:
        settings = _settings()
        chosen = "mode" in settings.model_fields_set
        mode = settings.mode if chosen else ("online" if has_key() else "offline")
    mode = ALIASES.get(mode, mode)
    if mode not in MODES:
        raise UserError(
            f"logger.wandb.mode must be one of {', '.join(MODES)} or null, got {mode!r}"
        )
    return mode


def log_table(
    name: str,
    header: Sequence[str],
    lines: Sequence[Sequence[str]],
    files: Sequence[Path],
    folder: Path,
    settings: Mapping[str, Any],
    tags: Sequence[str],
) -> None:
    """Log a table as a run of its own: a `wandb.Table`, and an artifact of its files.

    Args:
        name: The name of the table; the group of its runs.
        header: Column heads.
        lines: Cells.
        files: Figures and page.
        folder: Where the id is kept, and what is written offline.
        settings: project, entity and mode, as of the runs' logger.
        tags: The tags of the run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with wandb.init(
        project=redacted(str(settings["project"])),
        entity=settings["entity"],
        group=redacted(name),
        job_type="table",
        name=redacted(name),
        id=_kept_id(folder, f"table-{name}", begins=False),
        tags=[redacted(tag)[:64] for tag in tags],
        mode=_mode(settings["mode"]),
        resume="allow",
        dir=str(folder),
        settings=wandb.Settings(x_disable_meta=True),
    ) as run:
        safe = [[redacted(cell) for cell in line] for line in lines]
        run.log({"table": wandb.Table(columns=list(header), data=safe)})
        artifact = wandb.Artifact(f"table-{name}", type="table")
        for path in files:
            artifact.add_file(str(path))
        run.log_artifact(artifact)


@dataclass
class OfflineRun:
    """What the offline files of a run hold, all its segments together.

    Attributes:
        ids: Run ids; one, unless the run was begun anew.
        rows: Logged values, a dictionary per step, in order.
        summary: Last values.
        metrics: Pairs (name or pattern, its x axis).
        groups: Groups.
        tags: Tags.
        artifacts: Names of artifacts.
    """

    ids: set[str] = field(default_factory=set)
    rows: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    metrics: set[tuple[str, str]] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    tags: set[str] = field(default_factory=set)
    artifacts: set[str] = field(default_factory=set)


def read_offline(folder: Path, wandb_id: str = "*") -> OfflineRun:
    """Read the offline files below a folder of logs, each as far as a kill has left it whole.

    Args:
        folder: With the folder that wandb writes to.
        wandb_id: The id of the run; "*" for all.
    """
    found = OfflineRun()
    for path in sorted(folder.glob(f"wandb/offline-run-*-{wandb_id}/*.wandb")):
        with suppress(DecodeError, ValueError):  # a machine that died may leave zeros
            for data in _log_records(path.read_bytes()):
                record = wandb_internal_pb2.Record()
                record.ParseFromString(data)
                _take(record, found)
    return found


def offline_folders(folder: Path) -> list[Path]:
    """Return the offline folders below a folder of logs that were not uploaded yet, in order."""
    found = sorted(folder.glob("wandb/offline-run-*/*.wandb"))
    return [p.parent for p in found if not p.with_name(f"{p.name}.synced").exists()]


def _take(record: Any, found: OfflineRun) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "run":
        found.ids.add(record.run.run_id)
        found.groups |= {record.run.run_group} - {""}
        found.tags |= set(record.run.tags)
    elif kind == "history":
        found.rows.append({_key(i): json.loads(i.value_json) for i in record.history.item})
    elif kind == "summary":
        found.summary |= {_key(i): json.loads(i.value_json) for i in record.summary.update}
    elif kind == "metric":
        name = record.metric.glob_name or record.metric.name
        found.metrics.add((name, record.metric.step_metric))
    elif kind == "artifact":
        found.artifacts.add(record.artifact.name)


def _key(item: Any) -> str:
    return item.key or ".".join(item.nested_key)


def _log_records(data: bytes) -> Iterator[bytes]:
    """Yield the records of a LevelDB log that begins with a header of 7 bytes."""
    position, parts = HEADER, list[bytes]()
    while position + HEADER <= len(data):
        if BLOCK - position % BLOCK < HEADER:  # the rest of a block is padding
            position += BLOCK - position % BLOCK
            continue
        length = int.from_bytes(data[position + 4 : position + 6], "little")
        kind = data[position + 6]  # 1 full, 2 first, 3 middle, 4 last
        parts.append(data[position + HEADER : position + HEADER + length])
        position += HEADER + length
        if position > len(data):
            return  # torn
        if kind in (1, 4):
            yield b"".join(parts)
            parts = []


def _kept_id(folder: Path, run_id: str, begins: bool) -> str:
    path = folder / "wandb_id"
    if rank_zero_only.rank == 0 and (begins or not path.exists()):
        write_atomically(path, f"{run_id}-{secrets.token_hex(3)}\n")
    return path.read_text(encoding="utf-8").strip() if path.exists() else run_id


def _held(folder: Path, wandb_id: str, images_seen: int) -> dict[int, set[str]]:
    """Return the names that are in the offline files, by images_seen, from a number on."""
    held: dict[int, set[str]] = {}
    if images_seen == 0 or rank_zero_only.rank != 0:
        return held
    for row in read_offline(folder, wandb_id).rows:
        if (row.get("images_seen") or 0) >= images_seen:
            held.setdefault(row["images_seen"], set()).update(row)
    return held


@rank_zero_only
def _log_what_another_logger_had(
    logger: ImagesSeenWandbLogger,
    history: CsvLogger,
    folder: Path,
    wandb_id: str,
    images_seen: int,
) -> None:
    """Log to W&B the part of `metrics.csv` that a stretch without W&B has written."""
    offline = [row.get("images_seen") or 0 for row in read_offline(folder, wandb_id).rows]
    online = getattr(logger.experiment, "starting_step", 0) or 0  # after the server's last one
    last = max([0, online - 1, *offline])
    for step, values in history.rows().items():
        if last < step <= images_seen:
            logger._log(values, step)


@rank_zero_only
def _use_images_seen(logger: ImagesSeenWandbLogger) -> None:
    logger.experiment.define_metric("images_seen")
    logger.experiment.define_metric("*", step_metric="images_seen")
