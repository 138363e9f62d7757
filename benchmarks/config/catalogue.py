"""What there is, and where: the suite's configs, and the user's own beside them.

One environment variable, DGMBENCH_PATH, names the folders of the user's own; every verb and every
process that a verb starts reads it here. Such a folder holds `configs/` and, beside it, the
packages whose classes these name; `configs/` itself may be named as well, or a folder of configs
of another name, which then has no packages.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.config.yaml_files import check_folders
from benchmarks.core.errors import UserError, suggest, user_errors
from benchmarks.core.paths import CONFIGS
from datamodules.root import expanded

__all__ = ["INCEPTION", "Catalogue", "catalogue", "flat", "names", "searching"]

VARIABLE = "DGMBENCH_PATH"
GROUPS = "configs"  # the name of a folder of groups beside packages
COMBINED = ("published.yaml", "margins.yaml")  # of which every folder may have one
INCEPTION = "inception_2015"  # the extractor whose weights can be fetched


@dataclass(frozen=True)
class Catalogue:
    """Config files by group and name.

    Attributes:
        own: The user's folders; each holds groups as `configs` does, in files of other names.
    """

    own: tuple[Path, ...] = ()

    @property
    def packages(self) -> tuple[Path, ...]:
        """The folders from which packages of the user's own are imported."""
        return tuple(folder.parent for folder in self.own if folder.name == GROUPS)

    @property
    def folders(self) -> tuple[Path, ...]:
        """All folders, in the order in which they are looked in."""
        return (*self.own, CONFIGS)

    def names(self, group: str) -> list[str]:
        """Return the names of a group's files, sorted; those in subfolders with a slash."""
        found = {
            str(path.relative_to(folder / group).with_suffix(""))
            for folder in self.folders
            for path in (folder / group).rglob("*.yaml")
        }
        return sorted(found)

    def is_group(self, key: str) -> bool:
        """Return whether a key of a config names a group."""
        return any((folder / key).is_dir() for folder in self.folders)

    def folder_of(self, group: str, name: str) -> Path:
        """Return the first folder that holds a file of a group.

        Raises:
            UserError: if there is none, with the nearest names.
        """
        for folder in self.folders:
            if _is_there(folder / group / f"{name}.yaml"):
                return folder
        raise UserError(f"{group} {name!r} does not exist{suggest(name, self.names(group))}")

    def file(self, group: str, name: str) -> Path:
        """Return the file of a group by its name.

        Raises:
            UserError: if there is none, with the nearest names.
        """
        return self.folder_of(group, name) / group / f"{name}.yaml"

    def experiment(self, name: str) -> str:
        """Return an experiment's name, `<paper>/<method>`, also by the flat one that it had.

        Raises:
            UserError: if there is none, with the nearest names.
        """
        if not any(_is_there(f / "experiment" / f"{name}.yaml") for f in self.folders):
            renamed = {flat(known): known for known in self.names("experiment")}
            if name in renamed:
                return renamed[name]
        self.folder_of("experiment", name)
        return name

    def check(self) -> None:
        """Refuse files of the user's own that must not be read, or take a name of the suite's.

        Raises:
            UserError: naming the first.
        """
        with user_errors(ValueError, OSError):
            check_folders(self.own)
        for folder in self.own:
            for path in sorted(folder.rglob("*.yaml")):
                name = path.relative_to(folder)
                taken = CONFIGS / name
                if str(name) not in COMBINED and taken.is_file() and not taken.samefile(path):
                    raise UserError(
                        f"{path} must have another name: {name.with_suffix('')} is one of the "
                        "suite's configs"
                    )


def flat(experiment: str) -> str:
    """Return an experiment's name as that of a file or folder: `<paper>_<method>`."""
    return experiment.replace("/", "_")


def catalogue() -> Catalogue:
    """Return what there is for this process.

    Raises:
        UserError: if DGMBENCH_PATH names something that is no folder.
    """
    own = [part for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    return Catalogue(tuple(_configs_of(part, VARIABLE) for part in own))


def names(group: str) -> list[str]:
    """Return the names of a group's files, sorted."""
    return catalogue().names(group)


@contextmanager
def searching(folders: Sequence[str]) -> Iterator[None]:
    """Look in further folders first, in this process and those that it starts.

    Packages that lie beside configs can be imported from then on.

    Raises:
        UserError: if one is no folder, or holds files that must not be read.
    """
    before = os.environ.get(VARIABLE)
    added = [_configs_of(folder, "--config-dir") for folder in folders]
    known = Catalogue(tuple(dict.fromkeys([*added, *catalogue().own])))
    known.check()
    sys.path[:0] = [str(place) for place in known.packages if str(place) not in sys.path]
    if known.own:  # whole paths: a job of a cluster may begin elsewhere
        os.environ[VARIABLE] = os.pathsep.join(map(str, known.own))
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


def _is_there(path: Path) -> bool:
    """Return whether a file is there; one that the system cannot even look for is not."""
    try:
        return path.is_file()
    except OSError:  # too long a name, or a folder that is closed to us
        return False


def _configs_of(text: str, name: str) -> Path:
    """Return the folder of groups that a user's folder is, or holds."""
    folder = expanded(text, name)
    if not folder.is_dir():
        raise UserError(f"{name} must be a folder, got {text}")
    folder = folder.resolve()
    return folder / GROUPS if (folder / GROUPS).is_dir() else folder
