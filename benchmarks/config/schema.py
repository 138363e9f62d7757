"""Values from files against the fields of a class: what is wrong is said in one sentence.

Not imported for `--help`: pydantic takes a tenth of a second.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from annotated_types import Ge, Gt, Le
from pydantic import ConfigDict, StringConstraints, TypeAdapter, ValidationError

from benchmarks.core.errors import suggest

__all__ = ["STRICT", "Count", "Natural", "Number", "Text", "allowed", "parse", "sentence"]

STRICT = ConfigDict(strict=True, extra="forbid")  # no text becomes a number, no key is lost
UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")  # pydantic's names of it
Count = Annotated[int, Ge(1)]
Natural = Annotated[int, Ge(0)]
Number = int | float
Text = Annotated[str, StringConstraints(pattern=r"\S")]  # something stands in it
NAMES = {int: "an integer", float: "a number", str: "a text", bool: "true or false"}
PLURALS = {int: "integers", float: "numbers", str: "texts", bool: "true or false"}
T = TypeVar("T")


def parse(cls: type[T], values: Any, where: str = "") -> T:
    """Build a pydantic dataclass from values as a YAML or JSON file holds them.

    Args:
        cls: The class; nested ones are built too, lists become what its fields are.
        values: Maps its fields to values.
        where: The key of these values, for messages.

    Raises:
        ValueError: in one sentence that names the key, what is allowed and what came.
    """
    try:
        return TypeAdapter(cls).validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise ValueError(sentence(error, cls, values, where)) from None


def sentence(error: ValidationError, cls: type, values: Any, where: str = "") -> str:
    """Return what is wrong first with the values of a class, in one sentence.

    An unknown key comes before a missing one, which is often the same key misspelt.
    """
    if not isinstance(values, Mapping):
        return f"{where or cls.__name__.lower()} must map keys to values, got {values!r}"
    found = error.errors(include_url=False)
    first = next((e for e in found if e["type"] in UNKNOWN), found[0])
    path, hint, value, rest = _follow(cls, values, first["loc"])
    name = ".".join(filter(None, (where, path)))
    if first["type"] == "value_error":
        return f"{name}: {first['ctx']['error']}" if name else str(first["ctx"]["error"])
    if first["type"] in UNKNOWN:
        unknown = (
            f"unknown key {rest[0]}{suggest(str(rest[0]), [f.name for f in fields(_plain(hint))])}"
        )
        return f"{name}: {unknown}" if name else unknown
    if first["type"].startswith("missing"):
        return f"{'.'.join(filter(None, (name, str(rest[0]))))} must be given"
    return f"{name} must {allowed(hint)}, got {value!r}"


def _follow(
    hint: Any, value: Any, places: Sequence[int | str]
) -> tuple[str, Any, Any, Sequence[int | str]]:
    """Return (path, type, value) as far as a place can be followed, and what is left of it."""
    path = ""
    for i, place in enumerate(places):
        inner = _inner(hint, place)
        try:
            value_inside = value[place]
        except (KeyError, IndexError, TypeError):
            inner = None
        if inner is None:
            return path, hint, value, places[i:]
        hint, value = inner, value_inside
        path += f"[{place}]" if isinstance(place, int) else f"{'.' if path else ''}{place}"
    return path, hint, value, ()


def _inner(hint: Any, place: int | str) -> Any:
    """Return the type at a key or index of a type, None where there is none."""
    hint = _plain(hint)
    if is_dataclass(hint):
        return get_type_hints(hint, include_extras=True).get(str(place))
    if _is(hint, Mapping):
        return (*get_args(hint), Any, Any)[1]
    return (*get_args(hint), Any)[0] if _is(hint, Sequence) and isinstance(place, int) else None


def _plain(hint: Any) -> Any:
    """Return a type without its limits, and without None."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    others = _options(hint)
    return _plain(others[0]) if len(others) == 1 and others[0] is not hint else hint


def _options(hint: Any) -> list[Any]:
    """Return the types of a union, without None; the type itself where it is none."""
    if get_origin(hint) not in (Union, UnionType):
        return [hint]
    found = [a for a in get_args(hint) if a is not type(None)]
    return [a for a in found if a is not int] if float in found else found  # numbers are both


def _is(hint: Any, kind: type) -> bool:
    origin = get_origin(hint) or hint
    return isinstance(origin, type) and issubclass(origin, kind) and origin is not str


def allowed(hint: Any) -> str:
    """Say what a type allows, after "must"."""
    options = _options(hint)
    if options != [hint]:
        texts = [allowed(option) for option in options]
        or_null = " or null" if type(None) in get_args(hint) else ""
        return " or ".join([texts[0], *(text.removeprefix("be ") for text in texts[1:])]) + or_null
    if get_origin(hint) is Annotated:
        return allowed(get_args(hint)[0]) + _limits(get_args(hint)[1:])
    if get_origin(hint) is Literal:
        return f"be one of {', '.join(map(str, get_args(hint)))}"
    if _is(hint, Mapping):
        return f"map names to {_several((*get_args(hint), Any, Any)[1])}"
    if _is(hint, Sequence):
        inner = (*get_args(hint), Any)
        is_pair = get_origin(hint) is tuple and Ellipsis not in inner
        return f"be a list of {f'{len(inner) - 1} ' if is_pair else ''}{_several(inner[0])}"
    return "map keys to values" if is_dataclass(hint) else f"be {NAMES.get(hint, 'a value')}"


def _several(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        return _several(get_args(hint)[0]) + _limits(get_args(hint)[1:])
    if get_origin(hint) is Literal:
        return f"any of {', '.join(map(str, get_args(hint)))}"
    or_null = " or null" if type(None) in get_args(hint) else ""
    return " or ".join(PLURALS.get(option, "values") for option in _options(hint)) + or_null


def _limits(metadata: Sequence[Any]) -> str:
    limits = {type(item): item for item in metadata}
    if Ge in limits and Le in limits:
        return f" in {limits[Ge].ge} .. {limits[Le].le}"
    if Ge in limits:
        return f" >= {limits[Ge].ge}"
    return f" > {limits[Gt].gt}" if Gt in limits else ""
