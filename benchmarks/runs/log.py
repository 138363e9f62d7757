"""What the CSV logger wrote of a run: one reader for whoever goes on with it or draws it."""

import csv
from pathlib import Path

from benchmarks.core.errors import leave_out, one_line

__all__ = ["HEADER", "read_log"]

HEADER = ["images_seen", "name", "value"]


def read_log(path: Path) -> list[list[str]]:
    """Return the lines of a `metrics.csv` in order: an integer, a name and a number, as written.

    What is no such line is named and left out, as one that was cut when a disk was full.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        leave_out(one_line(error))
        return []
    rows = [_row(line) for line in lines]
    kept = [row for row in rows if row is not None]
    if len(kept) < len(rows):
        leave_out(f"{len(rows) - len(kept)} line(s) of {path}, which are none of a log")
    return [row for row in kept if row != HEADER]


def _row(line: str) -> list[str] | None:
    try:
        (row,) = csv.reader([line])
        if row != HEADER:
            images, _, value = row
            int(images), float(value)
    except (csv.Error, ValueError):
        return None
    return row
