"""A run done again: the same bits, a fault, or another machine's rounding."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.core.intervals import LEVEL, quantile_of_t
from benchmarks.runs.changes import ROUNDING
from benchmarks.runs.record import Record

__all__ = ["RunAgain", "compared", "machine_type"]

SAME = "same bits"
FAULT = "same machine type, other bits: a fault"
ROUNDED = "the same but for rounding"
INSIDE, OUTSIDE = "inside the seeds' spread", "outside the seeds' spread"
UNKNOWN = "other scores, and fewer than 3 seeds that would tell their spread"
FEWEST = 3
Measured = tuple[str, str, str, str]  # fingerprint, checkpoint, weights, metric


@dataclass(frozen=True)
class RunAgain:
    """What doing a run again showed.

    Attributes:
        text: In the program's words.
        is_good: Whether nothing is wrong: the same bits, or another machine's within the spread.
    """

    text: str
    is_good: bool

    @property
    def is_fault(self) -> bool:
        """Whether the same type of machine gave other bits."""
        return self.text == FAULT


def machine_type(record: Record) -> tuple[object, ...] | None:
    """Return all on which the rounding of a run depends; None where a record does not say it.

    That is the device's model, the instructions that its libraries use, the number of threads and
    processes, and the versions of torch and numpy.
    """
    cost = record.cost
    if cost.get("instructions") is None:
        return None
    where = tuple(cost.get(k) for k in ("device", "instructions", "threads", "processes"))
    return (*where, record.versions.get("torch"), record.versions.get("numpy"))


def compared(old: Record, new: Record, seeds: Sequence[Record]) -> RunAgain:
    """Compare a run with the same run done again.

    Two runs of one machine type that differ in any bit are a fault. On another type rounding
    differs, and training amplifies it: what can be asked is whether each score lies in the
    interval that holds a further seed's with 95 %, shared among the scores (Bonferroni).

    Args:
        old: The run's record.
        new: That of the same seed, done again.
        seeds: Records of all seeds of its configuration, `old` included.
    """
    before, now = _scores(old), _scores(new)
    if old.status == new.status and before == now:
        return RunAgain(SAME, True)
    types = machine_type(old), machine_type(new)
    if types[0] is not None and types[0] == types[1]:
        return RunAgain(FAULT, False)
    where = "machine type not recorded" if None in types else "another machine type"
    text, is_good = OUTSIDE, False
    if old.status == new.status and before.keys() == now.keys():
        text, is_good = _by_seeds(before, now, seeds)
    return RunAgain(f"{where}: {text}", is_good)


def _by_seeds(
    before: Mapping[Measured, float], now: Mapping[Measured, float], seeds: Sequence[Record]
) -> tuple[str, bool]:
    if all(math.isclose(before[k], now[k], rel_tol=ROUNDING, abs_tol=1e-12) for k in now):
        return ROUNDED, True
    others = [_scores(record) for record in seeds if record.status == "finished"]
    if len(others) < FEWEST:
        return UNKNOWN, False
    level = 1 - (1 - LEVEL) / len(now)
    held = all(_holds(value, [o[k] for o in others if k in o], level) for k, value in now.items())
    return (INSIDE, True) if held else (OUTSIDE, False)


def _holds(value: float, seeds: Sequence[float], level: float) -> bool:
    """Return whether the prediction interval of one more seed holds a value."""
    n = len(seeds)
    if n < 2:
        return False
    half = quantile_of_t(level, n - 1) * statistics.stdev(seeds) * math.sqrt(1 + 1 / n)
    return abs(value - statistics.fmean(seeds)) <= half


def _scores(record: Record) -> Mapping[Measured, float]:
    """Return the finite scores of the last checkpoint."""
    return {
        (e.fingerprint, e.checkpoint, e.weights, name): value
        for e in record.evaluations
        if e.checkpoint == "last"
        for name, value in e.metrics.items()
        if value is not None
    }
