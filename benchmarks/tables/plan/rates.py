"""What runs cost that none has finished yet: measured for some seconds, and kept."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from annotated_types import Gt
from pydantic.dataclasses import dataclass

from benchmarks.config.schema import STRICT, Count, Text, parse
from benchmarks.core.errors import user_errors
from benchmarks.core.files import write_atomically
from benchmarks.core.paths import results_dir
from benchmarks.runs.record import Record

__all__ = ["MeasuredRate", "keep_rates", "kept_rates"]

FILE = "rates.json"  # in results/
Seconds = Annotated[float, Gt(0)]


@dataclass(frozen=True, config=STRICT)
class MeasuredRate:
    """The speed of the beginning of a run.

    Attributes:
        experiment: Name of the experiment.
        dataset: Name of the data set.
        device_seconds: Seconds of training, times the processes.
        images_seen: The images that these took.
        device: Name of the device.
        threads: Threads per process.
    """

    experiment: str
    dataset: str
    device_seconds: Seconds
    images_seen: Count
    device: Text
    threads: Count

    @property
    def kind(self) -> tuple[str, str]:
        """What it is the speed of."""
        return self.experiment, self.dataset


def kept_rates() -> dict[tuple[str, str], float]:
    """Return device-seconds per image, by experiment and data set.

    Raises:
        UserError: if the file holds something else.
    """
    return {rate.kind: rate.device_seconds / rate.images_seen for rate in _read()}


def keep_rates(records: Sequence[Record]) -> Path:
    """Keep the rates of runs that were trained for a while; later ones replace earlier ones."""
    rates = {rate.kind: rate for rate in _read()}
    for record in records:
        if record.counters.get("images_seen") and record.cost.get("seconds"):
            rate = MeasuredRate(
                record.experiment,
                record.dataset,
                float(record.cost["seconds"] * record.cost["processes"]),
                record.counters["images_seen"],
                record.cost["device"],
                record.cost["threads"],
            )
            rates[rate.kind] = rate
    path = results_dir() / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(asdict(rates[kind])) for kind in sorted(rates)]
    write_atomically(path, "[\n" + ",\n".join(f"  {line}" for line in lines) + "\n]\n")
    return path


def _read() -> list[MeasuredRate]:
    path = results_dir() / FILE
    if not path.exists():
        return []
    with user_errors(ValueError, OSError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, list):
            raise ValueError(f"{path} must hold a list of rates, got {type(found).__name__}")
        return [parse(MeasuredRate, values, f"{path}: {i}") for i, values in enumerate(found)]
