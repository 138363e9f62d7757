"""`dgmbench sweep`: an experiment with each combination of some values, as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product, starmap
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.types import Override

from benchmarks.config.catalogue import catalogue, flat
from benchmarks.config.compose import (
    compose_for,
    datasets_of,
    experiment_config,
)
from benchmarks.config.identity import hash_of
from benchmarks.config.overrides import as_override, parse_overrides
from benchmarks.config.settings import CONFIG_ERRORS
from benchmarks.core.errors import UserError, user_errors
from benchmarks.core.files import write_atomically
from benchmarks.core.paths import check_writable, outputs_dir
from benchmarks.core.redaction import check_no_secret
from benchmarks.tables.rendering.metric_names import main_value
from benchmarks.tables.spec import TableSpec, spec_of
from datamodules.root import checked_name

__all__ = ["Sweep", "sweep_of"]

HEADER = "# Written by: dgmbench sweep"  # begins a file that another sweep may take the place of
MOST_ROWS = 1000
LENGTH = 8  # of the hash in a name
DIGITS = 3  # behind the point, of any score


@dataclass(frozen=True)
class Sweep:
    """A table that a sweep makes.

    Attributes:
        path: The file of its specification.
        values: What stands there.
        command: What was asked for.
    """

    path: Path
    values: Mapping[str, Any]
    command: str

    @property
    def spec(self) -> TableSpec:
        """The table, checked."""
        return spec_of(self.path.stem, self.values)

    def write(self) -> None:
        """Write the specification, so that every verb can be given its path.

        Raises:
            UserError: if another file is there, which no sweep has written.
        """
        before = b"" if not self.path.exists() else self.path.read_bytes()
        if before and not before.startswith(HEADER.encode()):
            raise UserError(
                f"--name must be of a new file, or of one that a sweep wrote, got {self.path}"
            )
        check_writable(self.path.parent)
        body = yaml.safe_dump(dict(self.values), sort_keys=False, allow_unicode=True)
        write_atomically(self.path, f"{HEADER} {self.command}\n{body}")


def sweep_of(given: Sequence[str], name: str | None) -> Sweep:
    """Return the table of all combinations of the values that were given.

    Args:
        given: `experiment=E`, values with commas between by key, and, if they are not 0 or the
            experiment's own, the seeds and data sets.
        name: The name of the table, or the path of its file (.yaml); None for one of what was
            given.

    Raises:
        UserError: naming what cannot be compared like this.
    """
    with user_errors(ValueError):
        check_no_secret(list(given), "overrides")
    asked = _values(given)
    experiment = _experiment(asked.pop("experiment", []))
    seeds = _seeds(asked.pop("seed", [0]))
    datasets = asked.pop("datamodule", [str(experiment_config(experiment).datamodule.name)])
    values = {
        "title": f"{experiment}: {', '.join(_varying(asked)) or 'seeds'}",
        "note": _note(asked),
        "seeds": len(seeds),
        "columns": _columns(experiment, datasets),
        "rows": _rows(experiment, asked, seeds[0]),
    }
    named = _name(experiment, datasets, asked) if name is None else name
    if not named.endswith(".yaml"):
        with user_errors(ValueError):
            checked_name(named, "the name of a table")
        named = str(outputs_dir() / "sweeps" / f"{named}.yaml")
    return Sweep(Path(named).expanduser(), values, " ".join(given))


def _name(experiment: str, datasets: Sequence[Any], asked: Mapping[str, Sequence[Any]]) -> str:
    """Return a name by what is compared, whatever the seeds: more of them are the same table."""
    compared = [as_override(key, list(values)) for key, values in asked.items()]
    return f"sweep-{flat(experiment)}-{hash_of([list(map(str, datasets)), compared])[:LENGTH]}"


def _values(given: Sequence[str]) -> dict[str, list[Any]]:
    """Return by key the values that it is to have, one after the other."""
    found: dict[str, list[Any]] = {}
    for override in parse_overrides(given):
        key = override.get_key_element()
        if override.is_delete() or override.is_add():
            raise UserError(f"a sweep sets keys that there are (key=value), got {key}")
        if key in found:
            raise UserError(f"{key} must be given once, with commas between its values")
        found[key] = _values_of(override)
    return found


def _values_of(override: Override) -> list[Any]:
    if not override.is_sweep_override():
        return [override.value()]
    if not override.is_discrete_sweep():
        raise UserError(
            f"a sweep needs values with commas between, or a range, got {override.input_line}"
        )
    key = override.get_key_element()
    with user_errors(*CONFIG_ERRORS):
        texts = list(override.sweep_string_iterator())
    return [parse_overrides([f"{key}={text}"])[0].value() for text in texts]


def _experiment(values: Sequence[Any]) -> str:
    if len(values) != 1 or not isinstance(values[0], str):
        got = f", got {', '.join(map(str, values))}" if values else ""
        raise UserError(
            f"experiment must be given, one (dgmbench list experiments), e.g. experiment=NAME{got}"
        )
    return catalogue().experiment(values[0])


def _seeds(values: Sequence[Any]) -> list[int]:
    """Return seeds, which a table counts from its first one."""
    whole = all(isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in values)
    if not whole or list(values) != list(range(values[0], values[0] + len(values))):
        shown = ",".join(map(str, values))
        raise UserError(f"seed must be integers >= 0 that follow each other, got {shown}")
    return list(values)


def _varying(asked: Mapping[str, Sequence[Any]]) -> list[str]:
    return [key for key, values in asked.items() if len(values) > 1]


def _note(asked: Mapping[str, Sequence[Any]]) -> str:
    fixed = {key: values[0] for key, values in asked.items() if len(values) == 1}
    return f"With {', '.join(starmap(as_override, fixed.items()))}." if fixed else ""


def _rows(
    experiment: str, asked: Mapping[str, Sequence[Any]], first_seed: int
) -> list[dict[str, Any]]:
    """Return a row for each combination, labelled by what differs."""
    combinations = list(product(*asked.values()))
    if len(combinations) > MOST_ROWS:
        raise UserError(f"a sweep must have at most {MOST_ROWS} rows, got {len(combinations)}")
    varying, rows = _varying(asked), []
    for values in combinations:
        overrides = dict(zip(asked, values, strict=True))
        label = ", ".join(as_override(key, overrides[key]) for key in varying) or experiment
        row: dict[str, Any] = {"label": label, "experiment": experiment}
        row |= {"overrides": overrides} if overrides else {}
        rows.append(row | ({"first_seed": first_seed} if first_seed else {}))
    return rows


def _columns(experiment: str, datasets: Sequence[Any]) -> list[dict[str, Any]]:
    """Return a column for the main value of each protocol that the experiment names."""
    columns: list[dict[str, Any]] = []
    for dataset in datasets:
        composed = compose_for(experiment, str(dataset))
        if composed is None:
            known = ", ".join(datasets_of(experiment_config(experiment)))
            raise UserError(
                f"datamodule must be one that {experiment} is for ({known}), got {dataset}"
            )
        for protocol in dict.fromkeys(composed.cfg.protocols):
            found = main_value(protocol)
            if found is not None:
                columns.append(_column(str(dataset), protocol, *found))
    if not columns:
        raise UserError(
            f"experiment {experiment} must name a protocol whose first value tells better from "
            f"worse, got none on {', '.join(map(str, datasets))}"
        )
    labels = [column["label"] for column in columns]
    for column in columns:
        if labels.count(column["label"]) > 1:
            column["label"] += f" ({column['protocol']} on {column['dataset']})"
    return columns


def _column(dataset: str, protocol: str, metric: str, higher: bool) -> dict[str, Any]:
    return {
        "label": metric,
        "dataset": dataset,
        "protocol": protocol,
        "metric": metric,
        "better": "higher" if higher else "lower",
        "digits": DIGITS,
    }
