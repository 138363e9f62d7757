"""`dgmbench compare A B`: records beside each other."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.core.errors import UserError
from benchmarks.runs.changes import changes, configurations_of, line_of
from benchmarks.runs.record import Record, records_at, some_records
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.plan.scale import published_scale
from benchmarks.tables.spec import load_spec, table_names
from datamodules.root import expanded

__all__ = ["compare", "records_of"]


def compare(first: str, second: str) -> int:
    """Print what differs between two records, runs, tables or folders of them: B minus A."""
    a, b = records_of(first), records_of(second)
    found = list(changes(a, b))
    if not len(a) == len(b) == 1:
        kinds = [set(configurations_of(side)) for side in (a, b)]
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
    path = expanded(what, "A or B")
    if path.exists() and path.suffix != ".yaml":
        return records_at(path)
    if what not in table_names() and not path.exists():
        raise UserError(
            f"{what} must be a record, a run's folder, a folder of records or a table "
            f"({', '.join(table_names())})"
        )
    plan, found = make_plan(load_spec(what), *published_scale(what)).complete(True)
    return some_records([found[r.key] for r in plan.runs if r.key in found], what)


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
