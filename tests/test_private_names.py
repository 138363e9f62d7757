"""Private names of libraries stand in one file: each may go with the next version of its library.

A name that begins with one underscore is ours if we define it: in the same file where it is
reached through something else than `self`, anywhere in our packages where it is reached through
`self`. Whether a class thereby meets a name of its bases is asked of the classes themselves.
"""

import ast
import importlib
import inspect
import re
import sys
import textwrap
from functools import cache

import pytest
from lightning import LightningModule
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from tests.test_imports import NEVER, ROOT, SOURCES, name_of

INTERNALS = ROOT / "lit_models/training/lightning_internals.py"
ALLOWED = {  # and why
    "_exit": "os._exit, which Python documents",
    "_target_": "Hydra's key in a config",
    "_get_node": "omegaconf: a node as it stands, where an item is resolved or raises",
    "_is_none": "omegaconf: of such a node",
    "_is_interpolation": "omegaconf: of such a node",
}
BY_STRING = {"getattr", "setattr", "hasattr", "delattr", "__setattr__", "__getattribute__"}
OURS = [path for path in SOURCES if path != INTERNALS]


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def is_self(node):
    if isinstance(node, ast.Call):  # super()
        node = node.func
    return isinstance(node, ast.Name) and node.id in {"self", "cls", "super"}


def defined_in(tree):
    """Return the private names that a file defines."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names |= {node.attr} if is_self(node.value) else set()
    return set(filter(is_private, names))


def reached_in(tree):
    """Yield (name, whether through self) for the private attributes that a file reaches."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            yield node.attr, is_self(node.value)
        elif isinstance(node, ast.Call) and len(node.args) > 1:
            function, (owner, name, *_) = node.func, node.args
            called = getattr(function, "attr", getattr(function, "id", None))
            if called in BY_STRING and isinstance(name, ast.Constant) and is_private(name.value):
                yield name.value, is_self(owner)


def imported_in(tree):
    """Yield the private names of modules, and in modules, that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            yield from (part for name in names for part in name.split(".") if is_private(part))


def foreign(tree, ours=frozenset()):
    """Return the private names in a file that are not ours; `ours` are those of all files."""
    here = defined_in(tree)
    found = {name for name, own in reached_in(tree) if name not in here | (ours if own else set())}
    return found.union(imported_in(tree)) - set(ALLOWED)


def met_in_bases(cls):
    """Return the private names in a class that its bases of libraries have as well."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    own = defined_in(tree) | {name for name, through_self in reached_in(tree) if through_self}
    bases = [b for b in cls.__mro__ if b.__module__.split(".")[0] not in {*NEVER, "tests"}]
    return own & {name for base in bases for name in _names_of(base)}


@cache  # most bases are those of many classes
def _names_of(base):
    """Return the names of a class, those that its methods give to self among them."""
    if base.__module__.split(".")[0] in sys.stdlib_module_names:
        return set(vars(base))
    try:
        source = inspect.getsource(base)
    except (OSError, TypeError):  # it has none in Python
        source = ""
    return {*vars(base), *re.findall(r"\bself\.(_\w+)", source)}


TREES = {path: ast.parse(path.read_text()) for path in OURS}


@pytest.mark.parametrize(
    "source",
    [
        "optimizer._opt_called = True",
        "nn.Module._load_from_state_dict(model, *rest)",
        "print(pl_module._trainer)",
        "self._call_children_scripts()",
        "super()._configure_launcher()",
        "getattr(trainer, '_signal_connector')",
        "setattr(self, '_launcher', None)",
        "from torch import _foreach_add_",
        "from torch._dynamo import optimize",
        "import torch._C",
    ],
)
def test_a_private_name_of_a_library_is_seen(source):
    assert foreign(ast.parse(source))
    ours = "class A:\n def _of_self(self): self._x = 1\n def f(self, a): return a._x, self._y"
    assert foreign(ast.parse(ours), {"_y"}) == set()


def test_private_names_of_libraries_stand_in_one_file():
    ours = set().union(*map(defined_in, TREES.values()))
    found = {str(path.relative_to(ROOT)): foreign(tree, ours) for path, tree in TREES.items()}
    assert {path: names for path, names in found.items() if names} == {}
    assert foreign(ast.parse(INTERNALS.read_text()))


def test_what_is_allowed_is_needed():
    assert set(ALLOWED) <= {name for tree in TREES.values() for name, _ in reached_in(tree)}


class Overriding(DDPStrategy):
    def _configure_launcher(self): ...


class Assigning(DDPStrategy):
    def f(self):
        self._launcher = None


class Reading(LightningModule):
    def f(self):
        return self._trainer


class OnItsOwn(nn.Linear):
    def _ours(self):
        self._mine = self._ours


@pytest.mark.parametrize(
    ("cls", "names"),
    [
        (Overriding, {"_configure_launcher"}),
        (Assigning, {"_launcher"}),
        (Reading, {"_trainer"}),
        (OnItsOwn, set()),
    ],
)
def test_a_private_name_of_a_base_is_seen(cls, names):
    assert met_in_bases(cls) == names


def test_no_class_meets_a_private_name_of_its_bases():
    found = {}
    for path in OURS:
        name = name_of(path).removesuffix(".__init__")
        classes = [c for c in vars(importlib.import_module(name)).values() if inspect.isclass(c)]
        found |= {c: met_in_bases(c) for c in classes if c.__module__ == name}
    assert len(found) > 200
    assert {cls.__qualname__: names for cls, names in found.items() if names} == {}
