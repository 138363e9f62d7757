"""The record of a run: one JSON file, written whole or not at all."""

import gc
import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import ValidationError
from pydantic.dataclasses import dataclass

from benchmarks.config.catalogue import flat
from benchmarks.config.migration import migrated
from benchmarks.config.schema import STRICT, Number, sentence
from benchmarks.core.errors import UserError, one_line, user_errors
from benchmarks.core.files import write_atomically
from benchmarks.core.redaction import redacted_values
from datamodules.root import checked_name

__all__ = [
    "SCHEMA_VERSION",
    "STATUSES",
    "Evaluation",
    "Record",
    "Status",
    "better",
    "bound_sign",
    "many_records",
    "read_record",
    "readable_record",
    "records_at",
    "some_records",
]

SCHEMA_VERSION = 2
BOUNDS = ("elbo", "iwae")  # kinds of likelihood
Status = Literal["finished", "diverged", "failed", "interrupted"]  # from far to not far
STATUSES = get_args(Status)
NUMBERS_OF_COST = (
    *("seconds", "images_per_second", "processes", "threads"),
    *("peak_memory_bytes", "peak_device_memory_bytes"),
)
T = TypeVar("T")


@dataclass(frozen=True, config=STRICT)
class Evaluation:
    """One measurement of one checkpoint.

    Attributes:
        protocol: The name of the protocol.
        fingerprint: SHA-256 of what it measures.
        checkpoint: "last", "initial", a number of images, or "images" for a folder or split.
        weights: "raw" or "ema".
        images_seen: The images_seen of the checkpoint.
        metrics: Values by name; a value that is not finite is null.
        attributes: What the row prints beside it (kind of likelihood, importance samples).
        seconds: Duration.
        draws: Values over repeated draws of the samples, the first of which is in `metrics`.
    """

    protocol: str
    fingerprint: str
    checkpoint: str
    weights: str
    images_seen: int
    metrics: dict[str, Number | None]
    attributes: dict[str, Any] = field(default_factory=dict)
    seconds: Number = 0.0
    draws: dict[str, list[Number | None]] = field(default_factory=dict)

    @property
    def num_draws(self) -> int:
        """The number of draws of the samples that were scored."""
        return min(map(len, self.draws.values()), default=1)

    @property
    def key(self) -> tuple[str, str, str]:
        """What a newer evaluation replaces."""
        return (self.fingerprint, self.checkpoint, self.weights)


@dataclass(config=STRICT)
class Record:
    """What is kept of a run. Fields are those of the file.

    Attributes:
        status: One of `STATUSES`.
        reason: Why, unless finished.
        config: The values that enter the run id, and the sampling settings.
        code: Version, git commit, whether the tree was dirty.
        counters: images_seen, budget_images, updates.
        cost: seconds, images_per_second, device, threads, peak_memory_bytes.
        versions: The versions of python and the libraries, with that of every distribution that
            a class from outside the suite comes from.
        notes: What else is to be said of its scores.
        started: ISO time, UTC.
        ended: ISO time, UTC.
        migrated_from: The run id in schema 1, of a record that was written then.
        without_digest: Whether it was read from a file that has none. A digest tells of damage and
            of careless edits, not of whom to trust: anyone can compute it.
    """

    experiment: str
    dataset: str
    run_id: str
    seed: int
    status: Status
    reason: str | None = None
    method: str = ""
    row: str | None = None
    deviations: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    code: dict[str, Any] = field(default_factory=dict)
    data_fingerprint: str | None = None
    data_pinned: bool = False
    counters: dict[str, int] = field(default_factory=dict)
    evaluations: list[Evaluation] = field(default_factory=list)
    cost: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    started: str | None = None
    ended: str | None = None
    migrated_from: str | None = None
    schema_version: int = SCHEMA_VERSION
    without_digest: bool = field(default=False, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        for key in (k for k in NUMBERS_OF_COST if k in self.cost):
            value = self.cost[key]
            if isinstance(value, bool) or not isinstance(value, int | float | None):
                raise ValueError(f"cost.{key} must be a number or null, got {value!r}")

    def add(self, evaluation: Evaluation) -> None:
        """Append an evaluation; one of the same measurement and checkpoint is replaced.

        Its repeated draws stay where the new one agrees with the first of them.
        """
        old = next((e for e in self.evaluations if e.key == evaluation.key), None)
        if old is not None and not evaluation.draws and old.metrics == evaluation.metrics:
            evaluation = replace(evaluation, draws=old.draws)
        kept = [e for e in self.evaluations if e.key != evaluation.key]
        self.evaluations = [*kept, evaluation]

    def evaluation(
        self, fingerprint: str, checkpoint: str = "last", weights: str | None = None
    ) -> Evaluation | None:
        """Return the evaluation of a measurement, if it is there."""
        for found in self.evaluations:
            same = found.fingerprint == fingerprint and found.checkpoint == checkpoint
            if same and weights in (None, found.weights):
                return found
        return None

    def to_json(self) -> str:
        """Return the file's text, with a digest of the rest."""
        values = redacted_values(_finite(asdict(self)))
        del values["without_digest"]
        # checked names of folders: a run must find itself again
        values |= {name: getattr(self, name) for name in ("experiment", "dataset", "run_id")}
        values["digest"] = _digest(values)
        return json.dumps(values, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Record":
        """Read a file's text.

        Raises:
            ValueError: if it is no record of this schema, or was changed since it was written.
        """
        try:
            values = json.loads(text)
            if not isinstance(values, dict):
                raise KeyError("schema_version")
            version = values["schema_version"]
        except (json.JSONDecodeError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"not a record: {error}") from None
        if version not in range(1, SCHEMA_VERSION + 1):
            newer = isinstance(version, int) and version > SCHEMA_VERSION
            raise ValueError(
                f"schema_version must be <= {SCHEMA_VERSION}, got {version}"
                + (": it was written by a newer version of this program" if newer else "")
            )
        digest = values.pop("digest", None)  # older ones have none
        if digest not in (None, _digest(values)):
            raise ValueError(
                "edited by hand or damaged: its digest is not that of its content (restore it, or "
                "delete it, and the same command makes it anew)"
            )
        try:
            values = values if version == SCHEMA_VERSION else migrated(values)
        except (KeyError, TypeError, AttributeError, ValueError, UserError) as error:
            raise ValueError(f"not a record: {error}") from None
        try:
            evaluations = values.get("evaluations", [])
            if not isinstance(evaluations, list):
                raise ValueError(f"evaluations must be a list, got {evaluations!r}")
            values["evaluations"] = [_built(Evaluation, e) for e in evaluations]
            record = _built(cls, values)
            for name in ("dataset", "run_id"):
                checked_name(getattr(record, name), name)
            checked_name(flat(record.experiment), "experiment")
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a record: {error}") from None
        record.without_digest = digest is None
        return record

    def write(self, path: Path) -> None:
        """Write the file at once: a reader sees the old one or the new one."""
        write_atomically(path, self.to_json())


def _built(cls: type[T], values: Any) -> T:
    """Build a part of a record.

    Raises:
        ValueError: in one sentence.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{cls.__name__.lower()} must map keys to values, got {values!r}")
    try:
        return cls(**values)
    except ValidationError as error:
        raise ValueError(sentence(error, cls, values)) from None


def bound_sign(evaluation: Evaluation, metric: str) -> str:
    """Return "≤ " or "≥ " where a metric's value is a bound, else ""."""
    if evaluation.attributes.get("likelihood") not in BOUNDS:
        return ""
    if metric in ("nll_nats", "bits_per_dim"):
        return "≤ "
    return "≥ " if metric == "elbo_nats" or metric.startswith("iwae_bound_") else ""


def better(one: Record | None, other: Record | None) -> Record | None:
    """Return the record to keep of a run: which got further, else the later, else `one`."""
    if one is None or other is None:
        return one or other
    order = [STATUSES.index(r.status) for r in (one, other)]
    if order[0] != order[1]:
        return one if order[0] < order[1] else other
    return one if (one.ended or "") >= (other.ended or "") else other


def read_record(path: Path) -> Record | None:
    """Return the record of a file, or None where there is none.

    Raises:
        ValueError: naming the file, if it is no record or cannot be read.
    """
    try:
        return Record.from_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ValueError(one_line(error)) from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


def readable_record(path: Path) -> Record | None:
    """Return the record of a file, or None where there is none that can be read."""
    try:
        return read_record(path)
    except ValueError:
        return None


def records_at(path: Path) -> list[Record]:
    """Return the records of a file, of a run's folder, or of a folder of records.

    Raises:
        UserError: if there is none, or one cannot be read.
    """
    with user_errors(ValueError, OSError):
        if path.is_file():
            paths = [path]
        elif (path / "record.json").is_file():
            paths = [path / "record.json"]
        else:
            paths = sorted([*path.rglob("record.json"), *path.rglob("records/*.json")])
            paths = paths or sorted(path.glob("*.json"))
        return some_records([r for p in paths if (r := read_record(p)) is not None], str(path))


def some_records(records: list[Record], what: str) -> list[Record]:
    """Return records; refuse where there are none.

    Raises:
        UserError: naming what has none.
    """
    if not records:
        raise UserError(f"{what} must hold at least one record, got none")
    return records


@contextmanager
def many_records() -> Iterator[None]:
    """Read thousands of records in two thirds of the time: the collector need not look at each."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _finite(value: Any) -> Any:
    """Replace numbers that JSON does not know by null."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
