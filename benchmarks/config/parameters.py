"""The parameters of what a config builds: their names, and the kinds of their values."""

import inspect
import json
from collections.abc import Sequence
from functools import lru_cache, reduce
from operator import or_
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from benchmarks.config.identity import SUITE
from benchmarks.config.schema import allowed
from benchmarks.core.errors import UserError

__all__ = ["check_kind", "parameters"]

STRICT = ConfigDict(strict=True)
SCALARS = (NoneType, bool, int, float, str)


@lru_cache(maxsize=1024)
def parameters(target: Any) -> dict[str, Any] | None:
    """Return the kinds of a target's parameters by name, with those that it hands on to its bases.

    A kind is an annotation of plain values, or None where anything may stand. None for the whole
    where the target takes any keyword.
    """
    found: dict[str, Any] = {}
    classes = inspect.getmro(target)[:-1] if inspect.isclass(target) else [target]
    for cls in classes:
        if cls is not target and "__init__" not in vars(cls):
            continue
        signature, hints = inspect.signature(cls), _hints(cls)
        hands_on = [p for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD]
        for name, parameter in signature.parameters.items():
            if parameter not in hands_on and name not in found:
                found[name] = _kind(hints.get(name), parameter.default)
        if not hands_on:
            return found
    return None


def check_kind(value: Any, kind: Any, name: str) -> None:
    """Refuse a plain value of another kind than its parameter's.

    Args:
        value: As a config holds it.
        kind: One of `parameters`.
        name: The key of the value, for the message.

    Raises:
        UserError: naming the key, what is allowed and what came.
    """
    if kind is None or _is_made_later(value):
        return
    try:
        _adapter(kind).validate_json(json.dumps(value))
    except ValidationError:
        raise UserError(f"{name} must {allowed(kind)}, got {value!r}") from None


def _hints(target: Any) -> dict[str, Any]:
    try:
        return get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (NameError, TypeError, AttributeError):  # a library's, that cannot be resolved here
        return {}


def _kind(hint: Any, default: Any) -> Any:
    """Return what an annotation allows of plain values; None where it may be anything."""
    kind = _plain(hint)
    return None if kind is None else kind | None if default is None else kind


def _plain(hint: Any) -> Any:
    """Return an annotation without what no plain value is, such as a tensor; None for nothing."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _plain(inner[0])
    if hint in SCALARS or origin is Literal:
        return hint
    if origin in (Union, UnionType):
        kinds = [kind for kind in map(_plain, inner) if kind is not None]
        # a null beside what only a node can be says nothing of what is no node
        return None if not kinds or kinds == [NoneType] else reduce(or_, kinds)
    if origin in (list, tuple, Sequence):
        kinds = [h if h is Ellipsis else _plain(h) for h in inner]
        return None if None in kinds or not kinds else origin[tuple(kinds)]
    is_ours = str(getattr(hint, "__module__", "")).split(".")[0] in SUITE
    return dict if inspect.isclass(hint) and is_ours else None  # what only a node can build


def _is_made_later(value: Any) -> bool:
    """Return whether a value is, or holds, an object's config, another key's, or one to come."""
    if isinstance(value, list):
        return any(map(_is_made_later, value))
    return isinstance(value, dict) or (
        isinstance(value, str) and ("${" in value or value == "???")
    )


@lru_cache(maxsize=256)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind, config=STRICT)
