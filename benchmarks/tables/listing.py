"""`dgmbench list`: what there is, read from the configs."""

from collections.abc import Callable, Sequence

from omegaconf import DictConfig, OmegaConf

from benchmarks.config.catalogue import catalogue, names
from benchmarks.config.compose import datasets_of, experiment_config
from benchmarks.tables.spec import load_spec, table_names

__all__ = ["print_listing"]


def print_listing(kinds: Sequence[str]) -> int:
    """Print each kind with a line per entry."""
    for kind in kinds:
        lines = KINDS[kind]()
        width = max((len(name) for name, _ in lines), default=0)
        print(f"{kind}:")
        for name, text in lines:
            print(f"  {name:<{width}}  {text}".rstrip())
    return 0


def _methods() -> list[tuple[str, str]]:
    by_method: dict[str, list[str]] = {}
    for name in names("experiment"):
        by_method.setdefault(str(experiment_config(name).method), []).append(name)
    return [(method, ", ".join(experiments)) for method, experiments in sorted(by_method.items())]


def _experiments() -> list[tuple[str, str]]:
    lines = []
    for name in names("experiment"):
        cfg = experiment_config(name)
        lines.append((name, f"{cfg.method}; for {', '.join(datasets_of(cfg))}"))
    return lines


def _group(group: str) -> Callable[[], list[tuple[str, str]]]:
    return lambda: [(name, _first_comment(group, name)) for name in names(group)]


def _classes(group: str) -> Callable[[], list[tuple[str, str]]]:
    return lambda: [(name, _class_of(group, name)) for name in names(group)]


def _class_of(group: str, name: str) -> str:
    cfg = OmegaConf.load(catalogue().file(group, name))
    named = isinstance(cfg, DictConfig) and "_target_" in cfg
    return str(cfg._target_).rsplit(".", 1)[-1] if named else ""


def _tables() -> list[tuple[str, str]]:
    return [(name, load_spec(name).title) for name in table_names()]


def _first_comment(group: str, name: str) -> str:
    first = catalogue().file(group, name).read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("# ") if first.startswith("#") else ""


KINDS: dict[str, Callable[[], list[tuple[str, str]]]] = {
    "methods": _methods,
    "models": _group("model"),
    "losses": _classes("loss"),
    "penalties": _classes("penalty"),
    "datasets": _group("datamodule"),
    "searches": _group("search"),
    "experiments": _experiments,
    "tables": _tables,
    "protocols": _group("protocol"),
    "extractors": _group("extractor"),
}
