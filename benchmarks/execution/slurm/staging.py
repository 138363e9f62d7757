"""Data on a disk of the node: copied once per node, read from there."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.runs.lock import held
from datamodules.root import PathError, data_root, expanded

__all__ = ["stage"]


def stage(target: str | None, files: Sequence[str]) -> dict[str, str]:
    """Copy files of the data folder to a folder of this node; return the variable that names it.

    All else there is reached by links. Processes that begin together copy once; what is there
    with the same size and time stays. Where the disk refuses, the shared folder is used, and said
    so.

    Args:
        target: The folder, with variables of the node such as $TMPDIR; None for no copies.
        files: Paths below the data folder; those that are missing there are left out.
    """
    if target is None or not files:
        return {}
    source, folder = data_root(), Path(os.path.expandvars(target)) / "dgmbench"
    try:
        folder = expanded(folder, "the folder for copies of data")
        if "$" in str(folder):
            raise OSError(f"{target} names a variable that is not set on this node")
        folder.mkdir(parents=True, exist_ok=True)
        with held(folder / ".lock", wait=True):
            for name in dict.fromkeys(files):
                _copy(source / name, folder / name)
            for path in source.iterdir():
                if not (folder / path.name).exists() and not path.name.startswith("."):
                    (folder / path.name).symlink_to(path)
    except (OSError, PathError) as error:
        print(f"data are read from {source}, not copied to {folder}: {error}", flush=True)
        return {}
    return {"DGMBENCH_DATA": str(folder)}


def _copy(source: Path, target: Path) -> None:
    if target.is_symlink():
        target.unlink()
    if source.is_dir():
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            _copy(path, target / path.relative_to(source))
        return
    if not source.exists() or _same(source, target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    shutil.copy2(source, part)
    part.replace(target)


def _same(one: Path, other: Path) -> bool:
    if not other.exists():
        return False
    a, b = one.stat(), other.stat()
    return (a.st_size, int(a.st_mtime)) == (b.st_size, int(b.st_mtime))
