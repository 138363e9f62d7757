"""What differs between the scores of two sets of records, runs paired by seed."""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.config.identity import without_seed
from benchmarks.core.intervals import Interval, t_interval
from benchmarks.runs.record import Evaluation, Record

__all__ = ["ROUNDING", "Change", "changes", "configurations_of", "line_of"]

ROUNDING = 1e-5  # relative: what another number of threads or another machine may change
Measured = tuple[str, str, str, str]  # protocol, checkpoint, weights, metric


@dataclass(frozen=True)
class Change:
    """One metric of A and B.

    Attributes:
        label: Experiment and data set.
        metric: Protocol and name of the value.
        first: Mean of A.
        second: Mean of B.
        pairs: Seeds of both.
        interval: t interval at 95 % of the mean difference over those; None below two.
    """

    label: str
    metric: str
    first: float
    second: float
    pairs: int
    interval: Interval | None

    @property
    def difference(self) -> float:
        """B minus A."""
        return self.second - self.first

    @property
    def is_nothing(self) -> bool:
        """Whether the two agree but for rounding."""
        return math.isclose(self.first, self.second, rel_tol=ROUNDING, abs_tol=1e-12)


def changes(a: Sequence[Record], b: Sequence[Record]) -> Iterator[Change]:
    """Yield every metric that both have; runs by experiment and data set, paired by seed.

    Two single records may be of different experiments: then all they share is the data set.
    """
    alone = len(a) == len(b) == 1
    apart = any(len(stems) > 1 for side in (a, b) for stems in configurations_of(side).values())
    one, other = _by_kind(a, alone, apart), _by_kind(b, alone, apart)
    for label in sorted(one.keys() & other.keys()):
        mine, theirs = one[label], other[label]
        for key in sorted(mine.keys() & theirs.keys()):
            x, y = mine[key], theirs[key]
            seeds = sorted(x.keys() & y.keys())
            differences = [y[s] - x[s] for s in seeds]
            yield Change(
                label,
                f"{key[0]} [{key[1]}, {key[2]}] {key[3]}",
                statistics.fmean(x[s] for s in seeds or x),
                statistics.fmean(y[s] for s in seeds or y),
                len(seeds),
                t_interval(differences),
            )


def configurations_of(records: Sequence[Record]) -> dict[tuple[str, str], set[str]]:
    """Return the configurations and revisions of each experiment on a data set."""
    found: dict[tuple[str, str], set[str]] = {}
    for record in records:
        kind = (record.experiment, record.dataset)
        found.setdefault(kind, set()).add(without_seed(record.run_id))
    return found


def _by_kind(
    records: Sequence[Record], alone: bool, apart: bool
) -> dict[str, dict[Measured, dict[int, float]]]:
    """Return values by label, what was measured, and seed; several configurations stay apart."""
    found: dict[str, dict[Measured, dict[int, float]]] = {}
    for record in records:
        label = record.dataset if alone else f"{record.experiment} on {record.dataset}"
        if apart and not alone:
            label += f" ({without_seed(record.run_id)})"
        seed = 0 if alone else record.seed
        for evaluation in record.evaluations:
            for key, value in _values(evaluation):
                found.setdefault(label, {}).setdefault(key, {})[seed] = value
    return found


def _values(evaluation: Evaluation) -> Iterator[tuple[Measured, float]]:
    name = f"{evaluation.protocol} ({evaluation.fingerprint[:12]})"
    for metric, value in evaluation.metrics.items():
        if value is not None:
            yield (name, evaluation.checkpoint, evaluation.weights, metric), value


def line_of(change: Change) -> str:
    """Return a change as a line of text."""
    text = f"{change.label}: {change.metric}: {change.first:.6g} -> {change.second:.6g}"
    pairs = f", {change.pairs} pair(s) of seeds"
    if change.is_nothing:
        return f"{text} (the same{pairs})"
    text += f" ({change.difference:+.3g}"
    if change.interval is not None:
        text += f" [{change.interval[0]:+.3g}, {change.interval[1]:+.3g}]"
    return f"{text}{pairs})"
