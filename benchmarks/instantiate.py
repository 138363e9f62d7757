"""From config nodes to objects, with errors that name the key."""

import inspect
from typing import Any

import hydra.utils
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from benchmarks.errors import UserError, one_line, suggest

__all__ = ["check_signatures", "instantiate"]


def instantiate(node: DictConfig, where: str, **extra: Any) -> Any:
    """Build the object of a node, with plain lists and dicts as arguments.

    Args:
        node: Has a `_target_`.
        where: Its key, for messages.
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
        raise UserError(one_line(cause or error)) from error


def check_signatures(node: Any, where: str) -> None:
    """Compare the keys of every node that has a `_target_` with its parameters."""
    if isinstance(node, list):
        for i, item in enumerate(node):
            check_signatures(item, f"{where}[{i}]")
    if not isinstance(node, dict):
        return
    if "_target_" in node:
        _check_keys(node, where)
    for key, value in node.items():
        check_signatures(value, f"{where}.{key}")


def _check_keys(node: dict[str, Any], where: str) -> None:
    try:
        target = hydra.utils.get_object(node["_target_"])
    except Exception as error:
        message = f"{where}._target_ must name an importable class, got {node['_target_']}"
        raise UserError(f"{message}: {one_line(error)}") from error
    parameters = inspect.signature(target).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return  # a library's class that passes arguments on
    for key in node:
        if not str(key).startswith("_") and key not in parameters:
            hint = suggest(str(key), parameters)
            raise UserError(f"{where}.{key} is no setting of {target.__name__}{hint}")
