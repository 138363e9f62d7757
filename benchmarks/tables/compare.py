"""`dgmbench compare A B`: records beside each other."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.config.identity import without_seed
from benchmarks.core.errors import UserError, user_errors
from benchmarks.runs.record import Evaluation, Record, read_record
from benchmarks.tables.analysis.statistics import Interval, t_interval
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.plan.scale import published_scale
from benchmarks.tables.spec import load_spec, table_names

__all__ = ["ROUNDING", "Change", "changes", "compare", "line_of", "records_of"]

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


def compare(first: str, second: str) -> int:
    """Print what differs between two records, runs, tables or folders of them: B minus A."""
    a, b = records_of(first), records_of(second)
    found = list(changes(a, b))
    if not len(a) == len(b) == 1:
        kinds = [set(_stems(side)) for side in (a, b)]
        for name, mine, theirs in ((first, kinds[0], kinds[1]), (second, kinds[1], kinds[0])):
            if mine - theirs:
                print(f"{name}: {len(mine - theirs)} of {len(mine)} kinds of runs are there only")
    for side, records in ((first, a), (second, b)):
        ended = sum(r.status != "finished" for r in records)
        if ended:
            print(f"{side}: {ended} of {len(records)} runs without result are left out")
    if not found:
        raise UserError(f"{first} and {second} have no metric of one data set in common")
    for change in found:
        print(line_of(change))
    if len(a) == len(b) == 1:
        for line in config_changes(a[0].config, b[0].config):
            print(line)
    return 0


def records_of(what: str) -> list[Record]:
    """Return the records that a file, a run's folder, a folder of records or a table holds.

    Raises:
        UserError: if there is none.
    """
    path = Path(what).expanduser()
    with user_errors(ValueError, OSError):
        if path.is_file() and path.suffix != ".yaml":
            paths = [path]
        elif (path / "record.json").is_file():
            paths = [path / "record.json"]
        elif path.is_dir():
            paths = sorted([*path.rglob("record.json"), *path.rglob("records/*.json")])
            paths = paths or sorted(path.glob("*.json"))
        elif what in table_names() or (path.is_file() and path.suffix == ".yaml"):
            plan, found = make_plan(load_spec(what), *published_scale(what)).complete(True)
            return _some([found[r.key] for r in plan.runs if r.key in found], what)
        else:
            raise UserError(
                f"{what} must be a record, a run's folder, a folder of records or a table "
                f"({', '.join(table_names())})"
            )
        return _some([r for p in paths if (r := read_record(p)) is not None], what)


def _some(records: list[Record], what: str) -> list[Record]:
    if not records:
        raise UserError(f"{what} must hold at least one record, got none")
    return records


def changes(a: Sequence[Record], b: Sequence[Record]) -> Iterator[Change]:
    """Yield every metric that both have; runs by experiment and data set, paired by seed.

    Two single records may be of different experiments: then all they share is the data set.
    """
    alone = len(a) == len(b) == 1
    apart = any(len(stems) > 1 for side in (a, b) for stems in _stems(side).values())
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


def _stems(records: Sequence[Record]) -> dict[tuple[str, str], set[str]]:
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


def config_changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each key of two configs that differs."""
    one, other = dict(_flat(a)), dict(_flat(b))
    for key in sorted(one.keys() | other.keys()):
        x, y = one.get(key, "absent"), other.get(key, "absent")
        if x != y:
            yield f"config {key}: {x} -> {y}"


def _flat(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, values
