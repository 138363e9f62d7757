"""The direction of imports, folder by folder, and what is named in one file only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# each folder may import those below it (and itself); the first of these that fits counts
ORDER = (
    {"benchmarks.commands"},
    {"benchmarks.execution", "benchmarks.training"},
    {"benchmarks.tables"},
    {"benchmarks.evaluation", "benchmarks.loggers"},
    {"benchmarks.runs"},
    {"benchmarks.config"},
    {"benchmarks.core"},
    {"lit_models.adversarial", "lit_models.vae", "lit_models.autoregressive", "lit_models.hybrid"},
    {"lit_models.callbacks"},
    {"lit_models.base"},
    {"lit_models.capabilities"},
    {"lit_models.networks"},
    {"lit_models.likelihoods", "lit_models.priors"},
    {"lit_models.images", "lit_models.labels", "lit_models.training"},
    {"datamodules"},
)
# what a folder may not import besides: lit_models knows no data sets, the suite no tests
NEVER = {
    "benchmarks": {"tests"},
    "lit_models": {"benchmarks", "datamodules", "hydra", "omegaconf", "wandb", "tests"},
    "datamodules": {"benchmarks", "lit_models", "hydra", "omegaconf", "wandb", "tests"},
}
MATHEMATICS = {"lightning", "torchmetrics"}  # not of these: functions of tensors
OF_MATHEMATICS = (
    "lit_models/networks",
    "lit_models/likelihoods",
    "lit_models/adversarial/losses.py",
    "lit_models/adversarial/penalties.py",
    "lit_models/vae/bounds.py",
    "lit_models/images.py",
)
FAMILIES = ("adversarial", "vae", "autoregressive")  # joined in hybrid only
TRAINING_ONLY = {  # what mathematics may take of the folder of training
    "lit_models.training.collectives",
    "lit_models.training.noise",
}


def files(package):
    path = ROOT / package
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


BY_STRING = {"import_module", "__import__", "get_class", "get_object", "get_method"}


def imported(path):
    """Yield the modules that a file imports, at its top or in a function."""
    return modules_in(path.read_text())


def modules_in(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from _named_by(node)
        elif isinstance(node, ast.Call) and _last_name(node.func) in BY_STRING:
            yield from _named_in(node)


def _named_by(node):
    assert node.level == 0, f"line {node.lineno}: a relative import"
    yield node.module
    folder = ROOT / node.module.replace(".", "/")
    for alias in node.names:
        if (folder / f"{alias.name}.py").exists() or (folder / alias.name).is_dir():
            yield f"{node.module}.{alias.name}"


def _named_in(call):
    """Yield what stands in a call's strings; of an f-string, its beginning."""
    for argument in [*call.args, *(k.value for k in call.keywords)]:
        parts = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
        if isinstance(parts[0], ast.Constant) and isinstance(parts[0].value, str):
            yield parts[0].value.rstrip(".")


def _last_name(function):
    return getattr(function, "attr", getattr(function, "id", None))


def inside(module, package):
    return f"{module}.".startswith(f"{package}.")


def level(module):
    """Return where a module stands in `ORDER`; None for what is not of the suite."""
    return next((i for i, ps in enumerate(ORDER) if any(inside(module, p) for p in ps)), None)


def name_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def broken(path, rule):
    return [f"{path.relative_to(ROOT)}: {m}" for m in imported(path) if rule(m)]


SOURCES = [p for package in NEVER for p in files(package)]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f():\n    import benchmarks.runs.lock as lock", "benchmarks.runs.lock"),
        ("from benchmarks.runs import lock", "benchmarks.runs.lock"),
        ("from benchmarks import tables", "benchmarks.tables"),
        ("import_module('benchmarks.execution.local')", "benchmarks.execution.local"),
        ("importlib.import_module(name='benchmarks.runs')", "benchmarks.runs"),
        ("import_module(f'benchmarks.commands.{verb}')", "benchmarks.commands"),
        ("hydra.utils.get_class('lit_models.base.Base')", "lit_models.base.Base"),
        ("__import__('wandb.sdk')", "wandb.sdk"),
    ],
)
def test_every_way_to_import_is_seen(source, found):
    assert found in list(modules_in(source))


@pytest.mark.parametrize("folder", sorted({p for ps in ORDER for p in ps}))
def test_a_folder_imports_only_what_is_below_it(folder):
    path = folder.replace(".", "/")
    mine = files(path) if (ROOT / path).is_dir() else [ROOT / f"{path}.py"]
    own = level(folder)

    def above(module):
        theirs = level(module)
        return theirs is not None and theirs < own

    def beside(module):
        return level(module) == own and not inside(module, folder)

    allowed = {"lit_models.hybrid", "benchmarks.training"}  # join what stands beside them
    if folder in allowed:
        found = [b for p in mine for b in broken(p, above)]
    else:
        found = [b for p in mine for b in broken(p, lambda m: above(m) or beside(m))]
    assert not found


def test_every_file_of_the_suite_has_a_place():
    entrances = {"benchmarks/__init__.py", "benchmarks/__main__.py", "lit_models/__init__.py"}
    homeless = [str(p.relative_to(ROOT)) for p in SOURCES if level(name_of(p)) is None]
    assert set(homeless) == entrances


@pytest.mark.parametrize("package", NEVER)
def test_what_is_never_imported(package):
    bad = [
        found
        for path in files(package)
        for found in broken(path, lambda m: any(inside(m, f) for f in NEVER[package]))
    ]
    assert not bad


@pytest.mark.parametrize("package", OF_MATHEMATICS)
def test_mathematics_takes_tensors_and_nothing_of_lightning(package):
    def rule(module):
        of_training = inside(module, "lit_models.training") and module != "lit_models.training"
        return any(inside(module, m) for m in MATHEMATICS) or (
            of_training and module not in TRAINING_ONLY
        )

    assert not [found for path in files(package) for found in broken(path, rule)]


def test_families_do_not_import_each_other():
    for family in FAMILIES:
        others = [f"lit_models.{f}" for f in (*FAMILIES, "hybrid") if f != family]
        for path in files(f"lit_models/{family}"):
            assert not broken(path, lambda m, others=others: any(inside(m, o) for o in others))


def test_no_lazy_import_hides_a_cycle():
    """Modules, their lazy imports counted, form no cycle."""
    modules = {name_of(p).removesuffix(".__init__"): p for p in SOURCES}
    graph = {name: {m for m in imported(p) if m in modules} for name, p in modules.items()}
    done: set[str] = set()

    def visit(name, above):
        assert name not in above, f"cycle: {' -> '.join([*above[above.index(name) :], name])}"
        if name in done:
            return
        for other in sorted(graph[name] - {name}):
            visit(other, [*above, name])
        done.add(name)

    for name in graph:
        visit(name, [])


def unexplained(source):
    """Yield the lines of imports in functions without a comment that says why they are there.

    It stands on the line or just above, has the word lazily, and holds for the imports that
    follow at once.
    """
    lines, explained = source.splitlines(), set()
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, FUNCTIONS)]
    inner = {n.lineno: n for f in functions for n in ast.walk(f) if isinstance(n, IMPORTS)}
    for first, node in sorted(inner.items()):
        above = lines[first - 2].strip()
        said = [above if above.startswith("#") else "", *lines[first - 1 : node.end_lineno]]
        if first - 1 in explained or any("lazily" in text.partition("#")[2] for text in said):
            explained.add(node.end_lineno)
        else:
            yield first


FUNCTIONS, IMPORTS = (ast.FunctionDef, ast.AsyncFunctionDef), (ast.Import, ast.ImportFrom)


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("import torch", [2]),
        ("import torch  # lazily: it takes a second", []),
        ("# lazily: they take a second\n import torch\n import lightning", []),
        ("# lazily: it takes a second\n import torch\n\n import lightning", [5]),
        ("x = 'lazily'\n import torch", [3]),
        ("def inner():\n  import torch", [3]),
    ],
)
def test_a_lazy_import_without_a_reason_is_seen(body, lines):
    assert list(unexplained(f"def f():\n {body}")) == lines


def test_every_lazy_import_says_why():
    """Those of the verbs need not: `--help` imports all of them."""
    bad = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        if not inside(name_of(path), "benchmarks.commands")
        for line in unexplained(path.read_text())
    ]
    assert not bad


def test_wandb_is_named_by_one_file():
    users = {p.name for p in SOURCES if broken(p, lambda m: inside(m, "wandb"))}
    assert users == {"wandb_logger.py"}
    logger = ROOT / "benchmarks/loggers/wandb_logger.py"
    assert "lightning.pytorch.loggers" in set(imported(logger))


def test_no_absolute_paths_in_the_sources():
    assert not [p for p in SOURCES if "/home/" in p.read_text() or "/root/" in p.read_text()]


TEXT = {"read_text", "write_text", "open", "fdopen", "TextIOWrapper"}


@pytest.mark.parametrize("package", sorted(NEVER))
def test_files_are_of_one_encoding_wherever_the_suite_runs(package):
    """Python reads and writes what the locale says, unless it is told."""
    found = []
    for path in files(package):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or _last_name(node.func) not in TEXT:
                continue
            given = [
                c.value for a in node.args for c in ast.walk(a) if isinstance(c, ast.Constant)
            ]
            if _is_of_bytes(node, given) or "encoding" in {k.arg for k in node.keywords}:
                continue
            found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not found


def _is_of_bytes(call, given):
    """Return whether a call opens bytes, or is of another `open` than that of files."""
    owner = getattr(call.func, "value", None)
    return any(isinstance(mode, str) and "b" in mode for mode in given[:2]) or getattr(
        owner, "id", None
    ) in {"os", "Image", "members", "RunWriter"}
