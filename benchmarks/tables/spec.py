"""A table's specification: rows, columns, seeds, published numbers, checked."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmarks.errors import UserError, one_line, suggest

__all__ = ["Column", "Published", "Row", "TableSpec", "load_published", "load_spec", "table_names"]

FOLDER = Path(__file__).parent
SELECTIONS = ("none", "validation", "test_as_in_paper")
PUBLISHED = "published"  # the file of published numbers, no table
T = TypeVar("T")


@dataclass(frozen=True)
class Published:
    """Where a column's published numbers come from.

    Attributes:
        source_id: Key in published.yaml.
        column: Column there.
        not_comparable: Why the obtained numbers must not be compared with them; None if they may.
    """

    source_id: str
    column: str
    not_comparable: str | None = None


@dataclass(frozen=True)
class Column:
    """One metric of one protocol on one data set."""

    label: str
    dataset: str
    protocol: str
    metric: str
    better: str
    digits: int
    published: Published | None = None

    def __post_init__(self) -> None:
        if self.better not in ("lower", "higher"):
            raise ValueError(f"better must be lower or higher, got {self.better!r}")


@dataclass(frozen=True)
class Row:
    """An experiment, or images that exist already; or what was published, and nothing of ours.

    Attributes:
        label: Name of the row.
        experiment: Experiment to train.
        images: Split to score instead.
        published: Row in the columns' published source.
        note: Printed below the table.
    """

    label: str
    experiment: str | None = None
    images: str | None = None
    published: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        if self.experiment is not None and self.images is not None:
            raise ValueError(f"row {self.label!r} must have either experiment or images, got both")
        if self.experiment is None and self.images is None and self.published is None:
            raise ValueError(f"row {self.label!r} must have experiment, images or published")


@dataclass(frozen=True)
class TableSpec:
    """A table.

    Attributes:
        selection: Which checkpoint of a run is scored: "none", the last one; "test_as_in_paper",
            the snapshot with the best score in the column itself; "validation", the snapshot with
            the best value of the column's metric under `selected_by`.
        selected_by: Protocol on the validation split; for selection "validation" only.
    """

    name: str
    title: str
    note: str
    seeds: int
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    selection: str = "none"
    selected_by: str | None = None

    def __post_init__(self) -> None:
        if self.selection not in SELECTIONS:
            allowed = ", ".join(SELECTIONS)
            raise ValueError(f"selection must be one of {allowed}, got {self.selection!r}")
        if (self.selection == "validation") != (self.selected_by is not None):
            raise ValueError("selected_by must be given for selection validation, and only then")


def table_names() -> list[str]:
    """Return the names of all tables."""
    return sorted(p.stem for p in FOLDER.glob("*.yaml") if p.stem != PUBLISHED)


def load_spec(name: str) -> TableSpec:
    """Read and check a specification.

    Raises:
        UserError: if it does not exist or has a wrong or missing key.
    """
    if name not in table_names():
        raise UserError(f"table {name!r} does not exist{suggest(name, table_names())}")
    try:
        values: Any = OmegaConf.to_container(OmegaConf.load(FOLDER / f"{name}.yaml"), resolve=True)
        columns = tuple(_column(c) for c in values.pop("columns"))
        rows = tuple(_build(Row, r) for r in values.pop("rows"))
        return _build(TableSpec, {**values, "name": name, "columns": columns, "rows": rows})
    except (ValueError, TypeError, KeyError, OmegaConfBaseException) as error:
        raise UserError(f"table {name}: {one_line(error)}") from error


def load_published() -> dict[str, Any]:
    """Return the published numbers by source id."""
    values: Any = OmegaConf.to_container(OmegaConf.load(FOLDER / f"{PUBLISHED}.yaml"))
    return values


def _column(values: dict[str, Any]) -> Column:
    published = values.get("published")
    if published is not None:
        values = {**values, "published": _build(Published, published)}
    return _build(Column, values)


def _build(cls: type[T], values: dict[str, Any]) -> T:
    known = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise ValueError(f"unknown key {key}{suggest(key, known)}")
    return cls(**values)
