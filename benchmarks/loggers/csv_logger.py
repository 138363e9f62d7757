"""The default logger: one append-only CSV file per run, in long form."""

import csv
import io
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from benchmarks.core.files import write_atomically
from benchmarks.runs.log import HEADER, read_log

__all__ = ["CsvLogger"]


class CsvLogger(Logger):
    """Writes `metrics.csv` with the columns images_seen, name, value.

    A resumed run goes on in the same file: rows past the checkpoint are dropped first, since they
    will be written again.

    Args:
        folder: The run's folder for logs.
        run_id: Name of the run.
        images_seen: Where the run goes on; later rows are dropped.
    """

    def __init__(self, folder: Path, run_id: str, images_seen: int) -> None:
        super().__init__()
        self.path, self.run_id = folder / "metrics.csv", run_id
        self._begin(images_seen)

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return self.run_id

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows((step, name, value) for name, value in metrics.items())

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any) -> None:
        """Do nothing: the config stands beside the file."""

    def rows(self) -> dict[int, dict[str, float]]:
        """Return what the file holds, by images_seen, in order."""
        found: dict[int, dict[str, float]] = {}
        for step, name, value in read_log(self.path):
            found.setdefault(int(step), {})[name] = float(value)
        return found

    @rank_zero_only
    def _begin(self, images_seen: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = [row for row in read_log(self.path) if int(row[0]) <= images_seen]
        out = io.StringIO()
        csv.writer(out, lineterminator="\r\n").writerows([HEADER, *kept])
        write_atomically(self.path, out.getvalue())
