"""A table's specification: rows, columns, seeds, published numbers, checked."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from annotated_types import Ge, Le
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic.dataclasses import dataclass

from benchmarks.config.catalogue import catalogue
from benchmarks.config.deviations import override_key
from benchmarks.config.identity import IDENTITY_KEYS, Split
from benchmarks.config.schema import STRICT, Count, Natural, Text, parse
from benchmarks.config.yaml_files import read_yaml
from benchmarks.core.errors import UserError, one_line, suggest
from benchmarks.tables.margins import margin_of
from datamodules.root import checked_name, expanded

__all__ = [
    "DIFFERENCES",
    "Column",
    "Published",
    "Row",
    "Search",
    "TableSpec",
    "load_published",
    "load_spec",
    "spec_of",
    "table_names",
]

PUBLISHED = "published.yaml"  # in each folder of configs
Difference = Literal["protocol", "budget", "selection", "data"]
DIFFERENCES = get_args(Difference)
ERRORS = (
    ValueError,
    TypeError,
    AttributeError,
    OmegaConfBaseException,
    yaml.YAMLError,
    OSError,
    RecursionError,
)
MOST_SEEDS = 10_000
DATA_SET = ("datamodule", "datamodule.name")  # which columns choose
KEY = re.compile(r"\w[\w./-]*(@[\w.]+)?")  # a dotted key, or the choice of a group


@dataclass(frozen=True, config=STRICT)
class Published:
    """Where a column's published numbers come from.

    Attributes:
        source_id: Key in configs/published.yaml.
        column: Column there.
        not_comparable: Why the obtained numbers must not be compared with them; None if they may.
        differs: In which of protocol, budget, selection and data the paper's numbers differ, each
            of which alone may explain a difference.
    """

    source_id: str
    column: str
    not_comparable: str | None = None
    differs: tuple[Difference, ...] = ()

    def __post_init__(self) -> None:
        if self.not_comparable is not None and not self.differs:
            allowed = ", ".join(DIFFERENCES)
            raise ValueError(
                f"differs must say in which of {allowed}, where not_comparable stands"
            )


@dataclass(frozen=True, config=STRICT)
class Column:
    """One metric of one protocol on one data set."""

    label: str
    dataset: str
    protocol: str
    metric: str
    better: Literal["lower", "higher"]
    digits: Annotated[int, Ge(0), Le(9)]
    published: Published | None = None


@dataclass(frozen=True, config=STRICT)
class Row:
    """An experiment, or images that exist already; or what was published, and nothing of ours.

    Attributes:
        label: Name of the row.
        experiment: Experiment to train.
        overrides: What the row sets otherwise than its experiment, by dotted key, or, for another
            part, by `group@key`, as on the command line.
        images: Split to score instead.
        published: Row in the columns' published source.
        reading: How the row reads what the paper leaves open; rows of one published row that
            read it differently get a verdict each.
        first_seed: The first of the row's seeds: a reading that was chosen because it fits is
            shown again on seeds that were not chosen by.
        draws: Number of draws of the samples that are scored.
        note: Printed below the table.
        search: Space of configs/search by phase; only in a table with a search.
    """

    label: str
    experiment: str | None = None
    overrides: Mapping[str, Any] | None = field(default=None, hash=False)
    images: Split | None = None
    published: str | None = None
    reading: Text | None = None
    first_seed: Natural = 0
    draws: Count = 1
    note: str | None = None
    search: Mapping[str, str] | None = field(default=None, hash=False)

    @property
    def published_only(self) -> bool:
        """Whether nothing of ours stands in the row."""
        return self.experiment is None and self.images is None

    def __post_init__(self) -> None:
        if self.search is not None and self.experiment is None:
            raise ValueError(f"row {self.label!r} must have an experiment to search")
        self._check_overrides()
        if self.draws > 1 and (self.published_only or self.search is not None):
            raise ValueError(
                f"draws of row {self.label!r} must have images, or an experiment without search"
            )
        if self.first_seed and (self.experiment is None or self.search is not None):
            raise ValueError(
                f"first_seed of row {self.label!r} must come with an experiment and no search"
            )
        if self.experiment is not None and self.images is not None:
            raise ValueError(f"row {self.label!r} must have either experiment or images, got both")
        if self.experiment is None and self.images is None and self.published is None:
            raise ValueError(f"row {self.label!r} must have experiment, images or published")

    def _check_overrides(self) -> None:
        """Refuse overrides of anything but what makes a run of the row's experiment another."""
        if self.overrides and (self.experiment is None or self.search is not None):
            raise ValueError(
                f"overrides of row {self.label!r} must come with an experiment and no search"
            )
        for key, value in (self.overrides or {}).items():
            changed = override_key(key)
            is_set = changed.split(".")[0] in IDENTITY_KEYS and changed not in DATA_SET
            if not KEY.fullmatch(key) or not is_set:
                raise ValueError(
                    f"overrides of row {self.label!r} must be of what a run is made of "
                    f"({', '.join(IDENTITY_KEYS)}; its data set is the column's), got {key}"
                )
            try:
                json.dumps(value, allow_nan=False)
            except ValueError:
                raise ValueError(
                    f"overrides of row {self.label!r}: {key} must be finite, got {value}"
                ) from None


@dataclass(frozen=True, config=STRICT)
class Search:
    """A random search before the seeds: the best configuration of all phases is repeated.

    Each configuration has one seed, 0.

    Attributes:
        phases: Number of configurations by phase, in order.
        seed: The seed of the configurations drawn.
        defaults_in: Phases whose configuration 0 is the experiment as it stands, instead of a
            draw; None for the first phase only.
        selected_by: Protocol whose score under the metric of a data set's first column chooses;
            None for that column itself, test images and all, as papers do.
        biased_curve: Also draw the curve with replacement, as published ones often are.
    """

    phases: Mapping[str, Count]
    seed: Natural
    selected_by: str | None = None
    biased_curve: bool = False
    defaults_in: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if not set(self.defaults_in or ()) <= set(self.phases):
            raise ValueError(
                f"defaults_in must be of {', '.join(self.phases)}, got {self.defaults_in}"
            )
        if not self.phases:
            raise ValueError("phases must hold at least one phase")

    def begins_with_defaults(self, phase: str) -> bool:
        """Return whether configuration 0 of a phase is the experiment as it stands."""
        named = [next(iter(self.phases))] if self.defaults_in is None else self.defaults_in
        return phase in named


@dataclass(frozen=True, config=STRICT)
class TableSpec:
    """A table.

    Attributes:
        search: Before the seeds; None for none.
        selection: Which checkpoint of a run is scored: "none", the last one; "test_as_in_paper",
            the snapshot with the best score in the column itself; "validation", the snapshot with
            the best value of the column's metric under `selected_by`.
        selected_by: Protocol on the validation split; for selection "validation" only.
    """

    name: str
    title: str
    note: str
    seeds: Annotated[int, Ge(1), Le(MOST_SEEDS)]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    selection: Literal["none", "validation", "test_as_in_paper"] = "none"
    selected_by: str | None = None
    search: Search | None = None

    def __post_init__(self) -> None:
        self._check_rows_and_columns()
        if (self.selection == "validation") != (self.selected_by is not None):
            raise ValueError("selected_by must be given for selection validation, and only then")

    @property
    def first_experiment(self) -> str | None:
        """The experiment of its first row that has one: what overrides are tried on."""
        return next((row.experiment for row in self.rows if row.experiment), None)

    def _check_rows_and_columns(self) -> None:
        for kind, labels in (
            ("row", [r.label for r in self.rows]),
            ("column", [c.label for c in self.columns]),
        ):
            if not labels:
                raise ValueError(f"{kind}s must not be empty")
            twice = next((x for x in labels if labels.count(x) > 1), None)
            if twice is not None:
                raise ValueError(f"{kind} {twice!r} stands twice")
        self._check_rows_differ()
        for row in self.rows:
            if row.search is not None and (
                self.search is None or list(row.search) != list(self.search.phases)
            ):
                phases = ", ".join(self.search.phases) if self.search else "no search"
                raise ValueError(
                    f"search of row {row.label!r} must be by the table's phases ({phases}), got "
                    f"{', '.join(row.search)}"
                )

    def _check_rows_differ(self) -> None:
        for kind in ("experiment", "images"):
            first: dict[str, str] = {}
            for row in self.rows:
                if row.first_seed >= self.seeds:
                    continue  # other runs, whatever row has its experiment
                value = getattr(row, kind)
                if value is None:
                    continue
                runs = json.dumps([value, row.overrides or {}], sort_keys=True)
                other = first.setdefault(runs, row.label)
                if other != row.label:
                    raise ValueError(
                        f"rows {other!r} and {row.label!r} must differ in their {kind}"
                        f"{' or overrides' if row.overrides else ''}, got {value} twice"
                    )


def table_names() -> list[str]:
    """Return the names of all tables."""
    return catalogue().names("table")


def load_spec(name: str) -> TableSpec:
    """Read and check a specification.

    Args:
        name: The name of a table, or the path of a file of your own that ends in .yaml; its stem
            is its name.

    Raises:
        UserError: if it does not exist or has a wrong or missing key.
    """
    path = expanded(name, "TABLE") if name.endswith(".yaml") else catalogue().file("table", name)
    if not path.is_file():
        raise UserError(f"table {name!r} does not exist{suggest(name, table_names())}")
    try:
        values: Any = OmegaConf.to_container(read_yaml(path), resolve=True)
    except ERRORS as error:
        raise UserError(f"table {path.stem}: {one_line(error)}") from error
    return spec_of(path.stem, values)


def spec_of(name: str, values: Any) -> TableSpec:
    """Check what a specification holds.

    Raises:
        UserError: if it has a wrong or missing key.
    """
    try:
        checked_name(name, "the name of a table")
        if not isinstance(values, dict):
            raise ValueError("a specification must map keys to values")
        spec = _with_full_names(parse(TableSpec, {**values, "name": name}))
        _check_published(spec)
        return spec
    except UserError as error:
        raise UserError(f"table {name}: {error}") from error
    except ERRORS as error:
        raise UserError(f"table {name}: {one_line(error)}") from error


def _check_published(spec: TableSpec) -> None:
    """Refuse sources, columns and rows of published numbers that do not exist."""
    known: set[str] = set()
    for column in spec.columns:
        published = column.published
        if published is None:
            continue
        if "protocol" not in published.differs:  # another quantity is never judged
            margin_of(column.metric)
        sources = load_published()
        if published.source_id not in sources:
            raise ValueError(
                f"source_id {published.source_id!r} does not exist"
                f"{suggest(published.source_id, sources)}"
            )
        rows = sources[published.source_id]["rows"]
        columns = {name for cells in rows.values() for name in cells}
        if published.column not in columns:
            raise ValueError(
                f"column {published.column!r} does not exist in source {published.source_id}"
                f"{suggest(published.column, columns)}"
            )
        known |= set(rows)
    for row in spec.rows:
        if row.published is not None and row.published not in known:
            raise ValueError(
                f"row {row.label!r}: published {row.published!r} does not exist"
                f"{suggest(row.published, known)}"
            )


def load_published() -> dict[str, Any]:
    """Return the published numbers by source id.

    Raises:
        UserError: if two folders have a source of one name.
    """
    found: dict[str, Any] = {}
    for folder in reversed(catalogue().folders):
        path = folder / PUBLISHED
        if not path.is_file():
            continue
        own = _published_of(path)
        for source in own.keys() & found.keys():
            raise UserError(f"{path}: {source} must have another name: it is a source already")
        found |= own
    return found


@lru_cache(maxsize=4)  # every cell asks
def _published_of(path: Path) -> dict[str, Any]:
    values: Any = OmegaConf.to_container(OmegaConf.load(path))
    return values


def _with_full_names(spec: TableSpec) -> TableSpec:
    """Return a table whose experiments have the names that the catalogue knows them by."""
    rows = (
        row
        if row.experiment is None
        else replace(row, experiment=catalogue().experiment(row.experiment))
        for row in spec.rows
    )
    return replace(spec, rows=tuple(rows))
