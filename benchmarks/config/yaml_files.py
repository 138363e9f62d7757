"""YAML from outside: refused before it is expanded, if it refers to itself or expands too far."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from benchmarks.core.errors import one_line

__all__ = ["check_folders", "read_yaml"]

MOST_NODES = 100_000  # of a file, its aliases written out
MOST_BYTES = 1_000_000


def read_yaml(path: Path) -> Any:
    """Return the config that a file holds; an empty one is a config without keys.

    Raises:
        ValueError: naming the file, if it is no YAML, has a key twice, a tag or one value alone,
            is too large, or refers to itself.
        OSError: if it cannot be read.
    """
    _check(path)
    try:
        return OmegaConf.load(path)
    except (yaml.YAMLError, OSError) as error:  # YAML, but no config: a key twice, one value
        raise ValueError(f"{path.name} is no config: {one_line(error)}") from None


def check_folders(folders: Sequence[Path]) -> None:
    """Check every YAML file in folders of the user's own, which Hydra then reads.

    Raises:
        ValueError: as `read_yaml`.
    """
    for folder in folders:
        for path in sorted(folder.rglob("*.yaml")):
            _read_once(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4096)
def _read_once(path: Path, changed: int) -> None:
    found = read_yaml(path)
    if not OmegaConf.is_dict(found):
        raise ValueError(f"{path.name} must map keys to values, got a list")


def _check(path: Path) -> None:
    if not path.is_file():  # a pipe would be waited for
        raise ValueError(f"{path.name} must be a file")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"{path.name} must have at most {MOST_BYTES} bytes, got {size}")
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
        nodes = 0 if root is None else _expanded(root, {}, set())
    except RecursionError:
        raise ValueError(f"{path.name} is nested too deeply") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is no YAML: {one_line(error)}") from None
    except _SelfReferenceError:
        raise ValueError(f"{path.name} refers to itself by an alias") from None
    if nodes > MOST_NODES:
        raise ValueError(
            f"{path.name} must have at most {MOST_NODES} values, its aliases written out, "
            f"got {nodes}"
        )


class _SelfReferenceError(Exception):
    """A node holds itself."""


def _expanded(node: yaml.Node, known: dict[int, int], above: set[int]) -> int:
    """Return the number of nodes with all aliases written out; an alias is the node it names."""
    if id(node) in above:
        raise _SelfReferenceError
    if id(node) not in known:
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            parts = node.value
        elif isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        above.add(id(node))
        known[id(node)] = 1 + sum(_expanded(part, known, above) for part in parts)
        above.discard(id(node))
    return known[id(node)]
