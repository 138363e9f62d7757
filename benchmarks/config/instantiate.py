"""From config nodes to objects, with errors that name the key."""

import inspect
import logging
import os
import re
import sys
from importlib.util import find_spec
from typing import Any

import hydra.utils
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmarks.config.identity import LIBRARIES, SUITE, targets
from benchmarks.config.parameters import check_kind, parameters
from benchmarks.core.errors import UserError, one_line, suggest, user_errors

__all__ = [
    "check_interpolations",
    "check_signatures",
    "check_trusted",
    "check_trusted_config",
    "instantiate",
]

TRUSTED = ("lit_models", "datamodules", "torch.nn", "torch.optim")
NEVER_BUILT = ("trainer", "logger", "callbacks")  # from a config that came with files
# a key, with indices, or what `config.deviations` reads of the config; nothing nested in it
PLAIN = re.compile(r"\$\{(?:number:)?[\w.,\[\] ]+\}")
logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)  # our errors say the same in one line


def instantiate(node: DictConfig, where: str, **extra: Any) -> Any:
    """Build the object of a node, with plain lists and dicts as arguments.

    Args:
        node: Has a `_target_`.
        where: The key of the node, for messages.
        extra: Further arguments.

    Raises:
        UserError: if a key is no parameter of its target, or the target refuses a value.
    """
    for key in sorted(OmegaConf.missing_keys(node)):
        raise UserError(f"{where}.{key} must be given")
    resolved = OmegaConf.to_container(node, resolve=True)
    check_signatures(resolved, where)
    try:
        return hydra.utils.instantiate(resolved, _convert_="all", **extra)
    except HydraException as error:
        cause = error.__cause__
        if isinstance(cause, ValueError | TypeError):
            raise UserError(f"{where}: {one_line(cause)}") from error
        raise UserError(f"{where}: {one_line(cause or error)}") from error


def check_trusted(node: Any, where: str) -> None:
    """Refuse targets of a config that came with files, unless they are classes of ours or torch's.

    Packages of the user's own are named in DGMBENCH_TRUST, separated by commas. Nothing of a
    refused package is imported.

    Raises:
        UserError: naming the key and the target.
    """
    for place, found in targets(node, where):
        _check_target(str(found["_target_"]), place)


def check_trusted_config(cfg: Any, name: str) -> None:
    """Refuse the config of a run that came with files, if building it could do anything else.

    It may build classes of ours and torch's only, and look up nothing but its own keys. Trainer,
    loggers and callbacks are never built from such a config.

    Args:
        cfg: The config.
        name: The name of the file, for messages.

    Raises:
        UserError: naming the key.
    """
    for key in ("datamodule", "model"):
        if not OmegaConf.is_dict(cfg) or not OmegaConf.is_dict(cfg._get_node(key)):
            raise UserError(f"{name} must be a run's config, which has a {key}")
    raw: Any = OmegaConf.to_container(cfg)
    for key, value in raw.items():
        check_interpolations(value, str(key))  # all of them: one may lead to another
    for key in map(str, raw):
        if key not in NEVER_BUILT and OmegaConf.is_config(cfg._get_node(key)):
            with user_errors(OmegaConfBaseException, RecursionError):
                resolved = OmegaConf.to_container(cfg[key], resolve=True)
            check_trusted(resolved, key)


def check_interpolations(value: Any, where: str) -> None:
    """Refuse what a resolver would look up outside of the config, such as the environment."""
    if isinstance(value, dict):
        for key, part in value.items():
            check_interpolations(part, f"{where}.{key}")
    elif isinstance(value, list):
        for i, part in enumerate(value):
            check_interpolations(part, f"{where}[{i}]")
    elif isinstance(value, str) and "${" in PLAIN.sub("", value):
        raise UserError(f"{where} must look up keys of the config only, got {value}")


def _check_target(target: str, where: str) -> None:
    own = tuple(filter(None, os.environ.get("DGMBENCH_TRUST", "").split(",")))

    def inside(name: str) -> bool:
        return any(name == package or name.startswith(f"{package}.") for package in TRUSTED + own)

    try:
        found = _object_of(target, where) if inside(target) else None
    except UserError as error:
        if target.split(".")[0] not in SUITE:
            raise
        raise UserError(
            f"{where}._target_ names {target}, which this version has not: the run is older "
            "than its table of names (the record tells the commit that can open it)"
        ) from error
    if not (inspect.isclass(found) and inside(found.__module__)):
        package = target.split(".")[0]
        known = {*SUITE, *LIBRARIES, *sys.stdlib_module_names}
        asked = "package" if package in known else ",".join([*own, package])
        raise UserError(
            f"{where}._target_ must be a class of {', '.join(TRUSTED + own)} (others by "
            f"DGMBENCH_TRUST={asked}, if you trust where this run came from), got {target}"
        )


def _object_of(target: str, where: str) -> Any:
    """Return what a target names.

    Raises:
        UserError: if it cannot be imported, saying where packages are looked for.
    """
    try:
        return hydra.utils.get_object(target)
    except Exception as error:
        package, reason = target.split(".")[0], one_line(error)
        if package in SUITE:
            reason += " (packages of your own must have another name)"
        elif not _is_there(package):
            reason = (
                f"no package {package} lies in the current folder, or beside the configs/ that "
                "DGMBENCH_PATH or --config-dir names"
            )
        message = f"{where}._target_ must name an importable class, got {target}: {reason}"
        raise UserError(message) from error


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):  # a name that is none
        return False


def check_signatures(node: Any, where: str) -> None:
    """Compare the keys and values of every node that has a `_target_` with its parameters."""
    for place, found in targets(node, where):
        _check_keys(found, place)


def _check_keys(node: dict[str, Any], where: str) -> None:
    target = _object_of(str(node["_target_"]), where)
    if inspect.isabstract(target):
        missing = ", ".join(sorted(target.__abstractmethods__))
        raise UserError(f"{where}: {target.__name__} must implement {missing}")
    kinds = parameters(target)
    if kinds is None:
        return  # a library's class that passes arguments on
    for key, value in node.items():
        if str(key).startswith("_"):
            continue
        if key not in kinds:
            hint = suggest(str(key), kinds)
            raise UserError(f"{where}.{key} is no setting of {target.__name__}{hint}")
        check_kind(value, kinds[key], f"{where}.{key}")
