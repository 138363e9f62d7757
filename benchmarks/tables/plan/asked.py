"""What a plan must know of models and protocols, and asks of them."""

import ast
import importlib.util
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import hydra.utils
from omegaconf import DictConfig

from benchmarks.config.compose import compose_group
from benchmarks.config.instantiate import instantiate
from benchmarks.core.errors import UserError, one_line

__all__ = ["images_per_step", "needs_model"]


def images_per_step(model: DictConfig) -> int:
    """Return the images that one training step of a model takes, as the model says."""
    import torch  # lazily: it takes a second, and few tables ask

    with torch.device("meta"):
        built: Any = instantiate(model, "model")
    found: int = built.images_per_step
    return found


def needs_model(protocol: str) -> bool:
    """Return whether a protocol scores nothing but models, as its class says in `needs`.

    The class is read, not imported, where it says so itself: a plan need not wait for torch.
    """
    return _needs(str(compose_group("protocol", protocol)._target_))


@lru_cache(maxsize=64)
def _needs(target: str) -> bool:
    module, _, name = target.rpartition(".")
    with suppress(ImportError, ValueError, OSError, SyntaxError):  # which its import will tell
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.origin:
            tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
            found = [
                node.value.elts
                for holder in ast.walk(tree)
                if isinstance(holder, ast.ClassDef) and holder.name == name
                for node in holder.body
                if isinstance(node, ast.AnnAssign | ast.Assign) and "needs" in _names(node)
                if isinstance(node.value, ast.Tuple)
            ]
            if found:
                return bool(found[-1])
    try:  # it inherits what it needs, or computes it
        return bool(hydra.utils.get_class(target).needs)  # type: ignore[attr-defined]
    except Exception as error:
        raise UserError(
            f"a protocol must be a class that says what it needs, got {target}: {one_line(error)}"
        ) from error


def _names(node: ast.AnnAssign | ast.Assign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]
