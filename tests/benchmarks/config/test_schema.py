"""One sentence for what is wrong with values from a file."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Le
from pydantic import ValidationError
from pydantic.dataclasses import dataclass

from benchmarks.config.schema import STRICT, Count, Natural, Number, Text, parse


@dataclass(frozen=True, config=STRICT)
class Leaf:
    size: Count
    kind: Literal["oak", "elm"] = "oak"

    def __post_init__(self):
        if self.size == 13:
            raise ValueError("size must not be 13")


@dataclass(frozen=True, config=STRICT)
class Tree:
    trunk: Leaf
    leaves: tuple[Leaf, ...] = ()
    names: Sequence[str] = ()
    counts: Mapping[str, Natural] | None = None
    free: Mapping[str, str | Number] | None = None
    height: Annotated[Number, Gt(0)] | None = None
    digits: Annotated[int, Ge(0), Le(9)] = 0
    title: Text | None = None
    flag: bool = False


GOOD = {"trunk": {"size": 1}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (3, "t must map keys to values, got 3"),
        ({}, "t.trunk must be given"),
        ({"trnk": {}}, "t: unknown key trnk; did you mean trunk?"),
        ({"trunk": {"sise": 2}}, "t.trunk: unknown key sise; did you mean size?"),
        ({"trunk": 3}, "t.trunk must map keys to values, got 3"),
        ({"trunk": {"size": 0}}, "t.trunk.size must be an integer >= 1, got 0"),
        ({"trunk": {"size": True}}, "t.trunk.size must be an integer >= 1, got True"),
        ({"trunk": {"size": "1"}}, "t.trunk.size must be an integer >= 1, got '1'"),
        ({"trunk": {"size": 1.0}}, "t.trunk.size must be an integer >= 1, got 1.0"),
        ({"trunk": {"size": 13}}, "t.trunk: size must not be 13"),
        ({"trunk": {"size": 1, "kind": "fir"}}, "t.trunk.kind must be one of oak, elm, got 'fir'"),
        ({"leaves": 3, **GOOD}, "t.leaves must be a list of values, got 3"),
        ({"leaves": [{"size": 1}, {}], **GOOD}, "t.leaves[1].size must be given"),
        ({"names": "ab", **GOOD}, "t.names must be a list of texts, got 'ab'"),
        ({"names": ["a", 1], **GOOD}, "t.names[1] must be a text, got 1"),
        ({"counts": [1], **GOOD}, "t.counts must map names to integers >= 0 or null, got [1]"),
        ({"counts": {"a": -1}, **GOOD}, "t.counts.a must be an integer >= 0, got -1"),
        ({"free": {"a": None}, **GOOD}, "t.free.a must be a text or a number, got None"),
        ({"height": 0, **GOOD}, "t.height must be a number > 0 or null, got 0"),
        ({"height": float("nan"), **GOOD}, "t.height must be a number > 0 or null, got nan"),
        ({"digits": 10, **GOOD}, "t.digits must be an integer in 0 .. 9, got 10"),
        ({"title": " ", **GOOD}, "t.title must be a text or null, got ' '"),
        ({"flag": 1, **GOOD}, "t.flag must be true or false, got 1"),
    ],
)
def test_what_is_wrong_is_one_sentence(values, message):
    with pytest.raises(ValueError, match=r"^[^\n]*$") as error:
        parse(Tree, values, "t")
    assert str(error.value) == message


def test_values_become_objects():
    tree = parse(Tree, {"leaves": [{"size": 2, "kind": "elm"}], "height": 3, **GOOD})
    assert tree == Tree(Leaf(1), leaves=(Leaf(2, "elm"),), height=3)
    assert isinstance(tree.height, int)  # a whole number stays one: records keep their text
    with pytest.raises(ValidationError):
        replace(tree, digits=10)
