"""The direction of imports: benchmarks -> lit_models, datamodules; mathematics -> torch."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIT = {"benchmarks", "datamodules", "hydra", "omegaconf", "wandb", "tests"}
TORCH_ONLY = LIT | {"lightning", "torchmetrics", "lit_models.base"}
FAMILIES = {f"lit_models.{f}" for f in ("adversarial", "vae", "autoregressive", "networks")}
FORBIDDEN = {
    "benchmarks": {"tests"},
    "lit_models": LIT,
    "datamodules": {"benchmarks", "lit_models", "hydra", "omegaconf", "wandb", "tests"},
    "lit_models/networks": TORCH_ONLY | {"lit_models.adversarial", "lit_models.vae"},
    "lit_models/adversarial/losses.py": TORCH_ONLY | {"lit_models"},
    "lit_models/adversarial/penalties.py": TORCH_ONLY | {"lit_models.networks"},
    "lit_models/vae/bounds.py": TORCH_ONLY | {"lit_models"},
    "lit_models/vae/likelihoods.py": TORCH_ONLY | (FAMILIES - {"lit_models.vae"}),
    "lit_models/autoregressive/likelihoods.py": TORCH_ONLY | FAMILIES,
    "lit_models/logistic.py": TORCH_ONLY | {"lit_models"},
    "lit_models/images.py": TORCH_ONLY | {"lit_models"},
    "lit_models/adversarial": {"lit_models.vae", "lit_models.autoregressive"},
    "lit_models/vae": {"lit_models.adversarial", "lit_models.autoregressive"},
    "lit_models/autoregressive": {"lit_models.adversarial", "lit_models.vae"},
}


def files(package):
    path = ROOT / package
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_forbidden_import(package):
    bad = {
        f"{path.relative_to(ROOT)}: {module}"
        for path in files(package)
        for module in imported(path)
        for forbidden in FORBIDDEN[package]
        if f"{module}.".startswith(f"{forbidden}.")
    }
    assert not bad


def test_wandb_is_named_by_one_file():
    users = [p.name for p in files("benchmarks") if "wandb" in set(imported(p))]
    assert users == ["wandb_logger.py"]
    assert "lightning.pytorch.loggers" in set(
        imported(ROOT / "benchmarks/loggers/wandb_logger.py")
    )


def test_no_absolute_paths_in_the_sources():
    tracked = [*files("benchmarks"), *files("lit_models"), *files("datamodules")]
    assert not [p for p in tracked if "/home/" in p.read_text() or "/root/" in p.read_text()]
