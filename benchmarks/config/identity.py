"""Identities of runs, measurements and scored images: hashes of what determines them.

A class of the suite enters by its name, which is unique over the suite, so that moving a file
makes no result stale. A class from outside enters by its full path; one of a user's own package
also with a hash of the package's sources, so that an edited part makes another run, while one of a
library is told by the library's version, which a record holds. Nothing here imports torch.
"""

import ast
import hashlib
import importlib.util
import json
import sys
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from omegaconf import DictConfig, OmegaConf

from benchmarks.core.errors import UserError
from benchmarks.core.paths import ROOT

__all__ = [
    "IDENTITY_KEYS",
    "SPLITS",
    "Split",
    "canonical",
    "check_unique_names",
    "config_hash",
    "determining",
    "determining_of",
    "fingerprint",
    "has_own_class",
    "identity",
    "images_run_id",
    "libraries_of",
    "own_sources",
    "protocol_fingerprint",
    "run_id",
    "short_hash",
    "targets",
    "without_seed",
    "without_sources",
]

LENGTH = 10
IDENTITY_KEYS = ("datamodule", "model", "images_seen", "precision", "snapshot_every_images")
NOT_IDENTITY = ("fingerprint", "path", "root")  # of a datamodule: expected hash, and where it lies
Split = Literal["train", "validation", "test"]  # whose images may be scored as samples
SPLITS = get_args(Split)
SUITE = ("benchmarks", "datamodules", "lit_models")
LIBRARIES = (  # packages of what this project depends on, which are libraries wherever they lie
    *("PIL", "annotated_types", "hydra", "jinja2", "lightning", "matplotlib", "numpy", "pydantic"),
    *("safetensors", "scipy", "sklearn", "submitit", "torch", "torch_fidelity", "torchmetrics"),
    *("torchvision", "tqdm", "wandb", "zuko"),
)
INSTALLED = {"site-packages", "dist-packages"}  # folders of what was installed
SOURCES = "_sources_"  # beside the _target_ of a class of an own package


def canonical(value: Any, where: str = "") -> Any:
    """Return the value as it enters an identity: without nulls, keys sorted, classes by name.

    Args:
        value: Of JSON.
        where: Its key, for messages.

    Raises:
        UserError: for a class without the path to it.
    """
    if isinstance(value, dict):
        found = {
            str(k): canonical(value[k], f"{where}.{k}" if where else str(k))
            for k in sorted(value)
            if value[k] is not None
        }
        return _named(found, where) if "_target_" in found else found
    if isinstance(value, list | tuple):
        return [canonical(v, f"{where}[{i}]") for i, v in enumerate(value)]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _named(node: dict[str, Any], where: str) -> dict[str, Any]:
    """Return a node with its class as it enters an identity."""
    target, package = str(node["_target_"]), _package(node)
    if package == target:
        key = f"{where}._target_" if where else "_target_"
        raise UserError(
            f"{key} must name a class with the path to it, such as torch.nn.Tanh, got {target}"
        )
    if package in SUITE:
        return {**node, "_target_": _name_of(target)}
    sources = sources_hash(package)
    return node if sources is None else {**node, SOURCES: sources}


def without_sources(value: Any) -> Any:
    """Return a record's value, which may be of schema 1, canonical but for hashes of sources."""
    if isinstance(value, dict):
        kept = {k: without_sources(v) for k, v in value.items() if k != SOURCES}
        return kept | {"_target_": _name_of(str(kept["_target_"]))} if "_target_" in kept else kept
    return [without_sources(v) for v in value] if isinstance(value, list) else value


def own_sources(value: Any) -> dict[str, str]:
    """Return the hash of the sources of each own package in a canonical value."""
    return {_package(node): node[SOURCES] for _, node in targets(value) if SOURCES in node}


def libraries_of(*cfgs: DictConfig) -> set[str]:
    """Return the packages from outside that configs name classes of, without a user's own."""
    values = canonical([OmegaConf.to_container(cfg, resolve=True) for cfg in cfgs])
    nodes = [node for _, node in targets(values) if SOURCES not in node]
    return {_package(node) for node in nodes if "." in node["_target_"]}  # the suite's have none


def targets(value: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (key, node) of every node that has a `_target_`, outer ones first."""
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from targets(item, f"{where}[{i}]")
    if not isinstance(value, dict):
        return
    if "_target_" in value:
        yield where, value
    for key, part in value.items():
        yield from targets(part, f"{where}.{key}")


def _package(node: dict[str, Any]) -> str:
    return str(node["_target_"]).split(".")[0]


def _name_of(target: str) -> str:
    """Return a class as it enters an identity: one of the suite by its name."""
    return target.rpartition(".")[2] if target.split(".")[0] in SUITE else target


@lru_cache(maxsize=64)
def sources_hash(package: str) -> str | None:
    """Return the SHA-256 of a package's sources; None for a library or what is absent."""
    if package in LIBRARIES:
        return None
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = [p for folder in folders for p in sorted(folder.rglob("*.py"))]
    if not folders and spec.origin and Path(spec.origin).is_file():
        files = [Path(spec.origin)]
    files = [file for file in files if not _is_of_a_library(file)]
    if not files:
        return None
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def has_own_class(value: Any) -> bool:
    """Return whether a value names a class of a user's own package, installed today or not."""
    packages = {_package(node) for _, node in targets(value)}
    return not packages <= {*SUITE, *LIBRARIES, *sys.stdlib_module_names}


def _is_of_a_library(file: Path) -> bool:
    """Return whether a file was installed, for this Python or another, or comes with Python."""
    stdlib = sysconfig.get_path("stdlib")
    return bool(INSTALLED.intersection(file.parts)) or file.is_relative_to(stdlib)


def check_unique_names(root: Path = ROOT) -> None:
    """Refuse two classes of the suite that share a name, by which identities know them.

    Raises:
        ValueError: naming both files.
    """
    known: dict[str, Path] = {}
    for file, name in _classes(root):
        if name.startswith("_"):
            continue
        other = known.setdefault(name, file)
        if other != file:
            raise ValueError(
                f"classes of the suite must differ in their names, got {name} in "
                f"{other.relative_to(root)} and {file.relative_to(root)}"
            )


def _classes(root: Path) -> Iterator[tuple[Path, str]]:
    for package in SUITE:
        for file in sorted((root / package).rglob("*.py")):
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef):
                    yield file, node.name


def fingerprint(value: Any) -> str:
    """Return the SHA-256 of a canonical value, in hexadecimal."""
    return hash_of(canonical(value))


def hash_of(value: Any) -> str:
    """Return the SHA-256 of a value of JSON, in hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def identity(cfg: DictConfig) -> dict[str, Any]:
    """Return the values that determine the training, resolved and canonical."""
    return canonical(determining(cfg))


def determining(cfg: DictConfig) -> dict[str, Any]:
    """Return the values that determine the training, resolved, as the config writes them."""
    resolved = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(resolved, dict)
    return determining_of({key: resolved[key] for key in IDENTITY_KEYS})


def determining_of(config: dict[str, Any]) -> dict[str, Any]:
    """Return the values that determine the training among those of a config or a record."""
    values = {key: config[key] for key in IDENTITY_KEYS if key in config}
    if isinstance(values.get("datamodule"), dict):
        values["datamodule"] = own_data(values["datamodule"])
    return values


def own_data(datamodule: dict[str, Any]) -> dict[str, Any]:
    """Return what identifies a data set of a data module's config."""
    return {k: v for k, v in datamodule.items() if k not in NOT_IDENTITY}


def config_hash(cfg: DictConfig) -> str:
    """Return the short hash of a run's identity, without revision and seed."""
    return short_hash(determining(cfg))


def short_hash(values: Any) -> str:
    """Return the short hash of what determines a training."""
    return fingerprint(values)[:LENGTH]


def without_seed(identifier: str) -> str:
    """Return a run id without its seed: what all seeds of a configuration share."""
    return identifier.rsplit("-s", 1)[0]


def run_id(cfg: DictConfig) -> str:
    """Return `<hash>-r<revision>-s<seed>`."""
    return f"{config_hash(cfg)}-r{cfg.revision}-s{cfg.seed}"


def protocol_fingerprint(cfg: DictConfig) -> str:
    """Return the SHA-256 of what a protocol measures."""
    return fingerprint(OmegaConf.to_container(cfg, resolve=True))


def images_run_id(images: str, datamodule: DictConfig) -> str:
    """Return the id under which images are scored against a data set.

    Args:
        images: The name of a split, or the digest of images from elsewhere.
        datamodule: The config of the data set.
    """
    data: Any = OmegaConf.to_container(datamodule, resolve=True)
    return f"{fingerprint([images, own_data(data)])[:LENGTH]}-r1-s0"
