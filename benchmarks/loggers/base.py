"""What the suite asks of a logger beyond Lightning's own contract."""

import importlib.util
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from benchmarks.core.errors import UserError, one_line
from benchmarks.core.redaction import redacted
from benchmarks.loggers.csv_logger import CsvLogger

__all__ = ["OneHistory", "Summarizes", "check_installed"]


@runtime_checkable
class Summarizes(Protocol):
    """A logger that keeps last values apart from curves, or at the end of them."""

    def summarize(self, values: Mapping[str, Any]) -> None:
        """Put values into the run's summary."""

    def finalize(self, status: str) -> None:
        """Close the run."""


def check_installed(package: str, extra: str) -> None:
    """Refuse a logger whose package is an extra that was not installed.

    Raises:
        UserError: naming the extra.
    """
    if importlib.util.find_spec(package) is None:
        raise UserError(f"{package} is not installed: pip install 'dgmbench[{extra}]'")


class OneHistory(Logger):
    """Keeps one history in a store that outlives the process, with images_seen as its x axis.

    A run that was killed goes on from its last checkpoint and comes by later values again, with
    the same ones (on one machine; to rounding on another): what the store holds is not logged
    again. A store that fails does not end the run: what it lacks, it is told at the next start.

    It is mixed in before one of Lightning's loggers.

    Attributes:
        held: What the store holds: pairs (images_seen, name).
    """

    held: set[tuple[int, str]]
    _last = 0  # images_seen
    _gone = False

    @rank_zero_only
    def begin(self, history: CsvLogger, images_seen: int, held: set[tuple[int, str]]) -> None:
        """Go on, with what the run has logged without this store.

        Args:
            history: The run's `metrics.csv`, which holds all of it.
            images_seen: Where the run goes on.
            held: What the store holds.
        """
        self.held, self._last = held, images_seen
        for step, values in history.rows().items():
            self.log_metrics(values, step)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._last = at = max(step or 0, 0)
        new = {name: value for name, value in metrics.items() if (at, name) not in self.held}
        if new and self._tell(self.put_metrics, new, at):
            self.held |= {(at, name) for name in new}

    @rank_zero_only
    def log_image(
        self, key: str, images: Sequence[np.ndarray], step: int | None = None, **kwargs: Any
    ) -> None:
        """Log one picture, uint8 (H, W, C)."""
        if (step or 0, key) not in self.held:
            self._tell(self.put_image, key, images[0], step or 0)
            self.held.add((step or 0, key))

    def put_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Write values into the store."""
        super().log_metrics(metrics, step)

    def put_image(self, key: str, image: np.ndarray, step: int) -> None:
        """Write a picture into the store."""
        raise NotImplementedError

    @rank_zero_only
    def summarize(self, values: Mapping[str, Any]) -> None:
        """Log the scores of the finished run where its curves end."""
        self.log_metrics({n: v for n, v in values.items() if _is_number(v)}, self._last)

    def _tell(self, call: Any, *arguments: Any) -> bool:
        """Call the store; return whether it took what it was told."""
        if self._gone:
            return False
        try:
            call(*arguments)
        except Exception as error:  # of any library below it
            self._gone = True
            said = f"dgmbench: {type(self).__name__} fails ({one_line(error)}); the run goes on"
            print(redacted(said), file=sys.stderr, flush=True)
        return not self._gone


def _is_number(value: Any) -> bool:
    return value is not None and math.isfinite(value)
