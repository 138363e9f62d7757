"""`dgmbench migrate`: what an earlier version has published or begun, under today's identities."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from benchmarks.config.catalogue import flat
from benchmarks.config.migration import migrated_config
from benchmarks.config.yaml_files import read_yaml
from benchmarks.core.errors import UserError, user_errors
from benchmarks.core.files import write_atomically
from benchmarks.core.paths import outputs_dir, results_dir
from benchmarks.runs.folder import Run
from benchmarks.runs.record import SCHEMA_VERSION, Record, better, read_record
from datamodules.root import expanded

__all__ = ["migrate"]


def migrate(folders: Sequence[str]) -> int:
    """Rewrite records of schema 1, and rename what is called after their ids.

    Args:
        folders: Folders of results (tables with `records/`) or of runs; none for both here.

    Raises:
        UserError: for a folder that does not exist, or a record that cannot be read.
    """
    here = [folder for folder in (results_dir(), outputs_dir()) if folder.is_dir()]
    for place in [expanded(f, "FOLDER") for f in folders] or here:
        if not place.is_dir():
            raise UserError(f"FOLDER must be a folder of results or runs, got {place}")
        with user_errors(ValueError, OSError):
            published = sum(map(_migrate_published, sorted(place.glob("*/records/*.json"))))
            runs = sum(map(_migrate_run, _runs(place)))
        print(f"{place}: {published} published record(s) and {runs} run(s) brought over")
    return 0


def _runs(place: Path) -> Iterator[Run]:
    for record in sorted(place.glob("*/*/*/record.json")):
        yield Run(record.parent)


def _old(path: Path) -> Record | None:
    """Return a record of schema 1 as one of today; None where it is one already."""
    values = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(values, dict) and values.get("schema_version") == SCHEMA_VERSION:
        return None
    return read_record(path)


def _under_old_id(run: Run) -> Record | None:
    """Return a record of today whose folder still bears the id of schema 1; else None.

    A new evaluation of an old run writes such a record; a migration that was cut leaves one, too.
    """
    record = run.record()
    moves = record is not None and record.run_id != record.migrated_from == run.id
    return record if moves else None


def _migrate_published(path: Path) -> bool:
    """Give a record and its picture their name of today, unless a better one has it already."""
    record = _old(path)
    if record is None:
        return False
    name = "-".join([flat(record.experiment), record.dataset, record.run_id])
    target = path.with_name(f"{name}.json")
    other = read_record(target) if target != path else None
    is_kept = better(other, record) is record
    # the picture first: as long as the old record is there, a call that was cut begins again
    _move_picture(path.parents[1] / "grids", path.stem, name, is_kept)
    if is_kept:
        record.write(target)
    if target != path:
        path.unlink()
    return True


def _move_picture(grids: Path, old: str, new: str, is_kept: bool) -> None:
    """Rename a record's picture; where another record is kept, that one's picture stays."""
    source, target = grids / f"{old}.png", grids / f"{new}.png"
    if not source.exists() or source == target:
        return
    if is_kept or not target.exists():
        source.replace(target)
    else:
        source.unlink()


def _migrate_run(run: Run) -> bool:
    record = _old(run.record_path) or _under_old_id(run)
    if record is None:
        return False
    target = run.folder.with_name(record.run_id)
    if target != run.folder and target.exists():
        raise ValueError(f"{run.folder} cannot be brought over: {target} exists already")
    with run.locked():
        if run.config_path.exists():
            cfg: Any = OmegaConf.to_container(read_yaml(run.config_path))
            write_atomically(run.config_path, OmegaConf.to_yaml(migrated_config(cfg)))
        record.write(run.record_path)
    run.folder.replace(target)
    return True
