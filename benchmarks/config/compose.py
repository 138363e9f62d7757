"""From names and overrides to one config. Nothing here imports torch.

Precedence: group files, the experiment, its `per_dataset` entry, the command line.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import starmap
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict

from benchmarks.config.catalogue import Catalogue, catalogue, flat
from benchmarks.config.counts import same_but_counts, with_counts
from benchmarks.config.deviations import register_resolver
from benchmarks.config.overrides import as_override, parse_overrides
from benchmarks.config.settings import CONFIG_ERRORS, LEAST, LISTS, SWITCHES, check_settings
from benchmarks.core.errors import UserError, one_line, suggest, user_errors
from datamodules.root import checked_name, name_from

__all__ = [
    "Composed",
    "compose",
    "compose_for",
    "compose_group",
    "datasets_of",
    "experiment_config",
    "with_values",
]

NAMED = ("experiment", "datamodule", "model", "trainer")  # groups of one choice
SEVERAL = ("logger", "callbacks")  # of which a run may have several, each by a name of its own
STATE_OTHERS = ("deviations", "data_deviations", "per_dataset")  # they refer to other keys
register_resolver()
OmegaConf.register_new_resolver("name_from", name_from, replace=True)


@dataclass(frozen=True)
class Composed:
    """A composed run.

    Attributes:
        experiment: Name of the experiment file.
        dataset: Name of the data set.
        cfg: The config, interpolations unresolved, `per_dataset` applied.
        overrides: What the command line gave.
    """

    experiment: str
    dataset: str
    cfg: DictConfig
    overrides: tuple[str, ...] = ()


def datasets_of(cfg: DictConfig) -> list[str]:
    """Return the data sets an experiment is for (an entry of null takes back an inherited one)."""
    return [str(name) for name in cfg.per_dataset if cfg.per_dataset[name] is not None]


def compose(overrides: Sequence[str]) -> Composed:
    """Compose a training run from overrides such as `experiment=NAME seed=1 model.n_critic=5`.

    Raises:
        UserError: for a name or key that does not exist, or a value that does not parse.
    """
    known = catalogue()
    parsed = parse_overrides(overrides)
    overrides = [_named(o, known) for o in parsed]
    parsed = parse_overrides(overrides)
    experiment, cfg = _composed(overrides, parsed, known)
    with user_errors(*CONFIG_ERRORS):
        values = {o.key_or_group: o.value() for o in parsed if _sets_a_value(o)}
    return _finished(cfg, experiment, values, tuple(overrides))


def _named(override: Override, known: Catalogue) -> str:
    """Return an override with an experiment's flat name replaced by the one that it has now."""
    if override.key_or_group != "experiment" or not isinstance(override.value(), str):
        return str(override.input_line)
    return f"experiment={known.experiment(str(override.value()))}"


def _composed(
    overrides: Sequence[str], parsed: Sequence[Override], known: Catalogue
) -> tuple[str, DictConfig]:
    """Return an experiment's name, and its config before `per_dataset` without Hydra's part."""
    known.check()
    _check_names(parsed, known)
    cfg = _compose(overrides, parsed, known)
    experiment = str(cfg.hydra.runtime.choices["experiment"])
    with open_dict(cfg):
        del cfg["hydra"]
    _check_top_level(cfg, experiment)
    _check_nodes(cfg)
    return experiment, cfg


def _finished(
    cfg: DictConfig,
    experiment: str,
    values: Mapping[str, Any],
    overrides: tuple[str, ...],
) -> Composed:
    """Apply what the experiment sets for the data set, then the command line's values."""
    with user_errors(*CONFIG_ERRORS):
        for key in ("path", "name"):  # by which runs are filed
            if OmegaConf.is_missing(cfg.datamodule, key):
                raise UserError(f"datamodule.{key} must be given")
        dataset = str(cfg.datamodule.name)
        if OmegaConf.is_interpolation(cfg.datamodule, "name"):  # a record says what it was
            cfg.datamodule.name = dataset
    with user_errors(ValueError):  # both are folders of the run's
        checked_name(cfg.datamodule.name, "datamodule.name")
        checked_name(flat(experiment), "the name of an experiment")
    _apply(cfg, cfg.per_dataset.get(dataset) or {}, f"per_dataset.{dataset} of {experiment}")
    cfg = with_values(cfg, values) if values else cfg  # a copy takes its time
    if cfg.protocols is None and dataset in datasets_of(cfg):
        cfg.protocols = []
    _make_whole(cfg)
    _check_complete(cfg, experiment, dataset)
    return Composed(experiment, dataset, cfg, overrides)


def compose_for(
    experiment: str, dataset: str, values: Mapping[str, Any] | None = None
) -> Composed | None:
    """Compose an experiment on a data set as `compose` does, quicker; None where it is not for it.

    Hydra composes an experiment once; the data set's group takes the place of its own, unless the
    experiment sets something of it, or one of the values is the choice of a group.

    Args:
        experiment: Its name.
        dataset: The name of the data set.
        values: By key, what the command line would set.
    """
    experiment, values = catalogue().experiment(experiment), values or {}
    own = experiment_config(experiment)
    if dataset not in datasets_of(own):
        return None
    overrides = (
        f"experiment={experiment}",
        f"datamodule={dataset}",
        *starmap(as_override, values.items()),
    )
    plain = compose_group("datamodule", str(own.datamodule.name))
    if own.datamodule != plain or any("@" in k or catalogue().is_group(k) for k in values):
        return compose(overrides)
    cfg = own.copy()
    if dataset != str(own.datamodule.name):
        with open_dict(cfg):
            cfg.datamodule = compose_group("datamodule", dataset)
    return _finished(cfg, experiment, values, overrides)


def experiment_config(experiment: str) -> DictConfig:
    """Return an experiment's config before `per_dataset`."""
    known = catalogue()
    return _experiment_config(known.experiment(experiment), known)


@lru_cache(maxsize=256)
def _experiment_config(experiment: str, known: Catalogue) -> DictConfig:
    overrides = (f"experiment={experiment}",)
    return _composed(overrides, parse_overrides(overrides), known)[1]


def with_values(cfg: DictConfig, values: Mapping[str, Any]) -> DictConfig:
    """Return a copy with dotted keys updated; every key must exist."""
    cfg = cfg.copy()
    for key, value in values.items():
        try:
            OmegaConf.update(cfg, key, value, merge=not isinstance(value, list))
        except CONFIG_ERRORS as error:
            known = set(_keys(cfg))
            raise UserError(
                f"{key}: {one_line(error)}"
                if key in known
                else f"{key} is not a key of this experiment{suggest(key, known)}"
            ) from error
    return cfg


def compose_group(group: str, name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Compose one file of a group, alone (`protocol`, `datamodule`, ...).

    A protocol may be named with other counts than those of a file (`benchmarks.config.counts`).

    Raises:
        UserError: for a name or key that does not exist.
    """
    cfg = _group(group, name, catalogue())
    return with_values(cfg, {o.key_or_group: o.value() for o in parse_overrides(overrides)})


@lru_cache(maxsize=256)  # a table asks for the same few many times
def _group(group: str, name: str, known: Catalogue) -> DictConfig:
    known.check()
    if name not in known.names(group) and (file := same_but_counts(name, known.names(group))):
        return with_counts(_group(group, file, known), name)
    root = known.folder_of(group, name)  # the user's folder need not hold the whole group
    with user_errors(*CONFIG_ERRORS), _hydra(root):
        cfg = hydra_compose(f"{group}/{name}", _search_path(known.folders if known.own else ()))
    for part in f"{group}/{name}".split("/")[:-1]:
        cfg = cfg[part]
    assert isinstance(cfg, DictConfig)
    OmegaConf.set_struct(cfg, True)
    return cfg


def _hydra(root: Path) -> initialize_config_dir:
    GlobalHydra.instance().clear()
    return initialize_config_dir(str(root.resolve()), version_base="1.3")


def _search_path(folders: Sequence[Path]) -> list[str]:
    places = [_quoted(f"file://{folder}") for folder in folders]
    return [f"hydra.searchpath=[{','.join(places)}]"] if places else []


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _is_group(override: Override) -> bool:
    return override.package is not None or catalogue().is_group(override.key_or_group)


def _sets_a_value(override: Override) -> bool:
    return not _is_group(override) and not override.is_delete()


def _check_names(parsed: Sequence[Override], known: Catalogue) -> None:
    """Refuse an unknown name of a group, with the nearest ones."""
    if not any(o.key_or_group == "experiment" for o in parsed):
        raise UserError(
            "experiment must be given (dgmbench list experiments), e.g. experiment=NAME"
        )
    for override in parsed:
        group, value = override.key_or_group, override.value()
        if not group:
            raise UserError(f"an override must be key=value, got {override.input_line}")
        if override.is_sweep_override():
            raise UserError(
                f"{group} must have one value, got {override.input_line} (dgmbench sweep compares "
                "several)"
            )
        if group in NAMED and not isinstance(value, str):
            raise UserError(f"{group} must be one name, got {override.input_line}")
        if not _is_group(override):
            continue
        names = value if isinstance(value, list) else [value]
        if group in SEVERAL and not all(isinstance(name, str) for name in names):
            raise UserError(f"{group} must be names of configs, got {override.input_line}")
        for name in names:
            if isinstance(name, str):
                known.folder_of(group, name)


def _compose(overrides: Sequence[str], parsed: Sequence[Override], known: Catalogue) -> DictConfig:
    extra = _search_path(known.own)
    with _hydra(known.folders[-1]):
        try:
            return hydra_compose("train", [*overrides, *extra], return_hydra_config=True)
        except CONFIG_ERRORS as error:
            groups = [str(o.input_line) for o in parsed if _is_group(o)]
            raise _key_error(error, parsed, [*groups, *extra]) from error


def _key_error(error: Exception, parsed: Sequence[Override], groups: Sequence[str]) -> UserError:
    """Find the override whose key does not exist, and the nearest key that does."""
    if isinstance(error, RecursionError):
        name = next(o.value() for o in parsed if o.key_or_group == "experiment")
        return UserError(f"experiment {name}: its defaults lead back to it")
    try:
        plain = hydra_compose("train", list(groups))
    except CONFIG_ERRORS:
        return UserError(one_line(error))
    known = {key: key for key in _keys(plain)}
    for override in parsed:
        key = override.key_or_group
        if _sets_a_value(override) and not override.is_add() and key not in known:
            return UserError(f"{key} is not a key of this experiment{suggest(key, known)}")
    return UserError(one_line(error))


def _keys(cfg: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in map(str, cfg):
        yield f"{prefix}{key}"
        value = None if OmegaConf.is_missing(cfg, key) else cfg._get_node(key)
        if (
            isinstance(value, DictConfig)
            and not value._is_none()
            and not value._is_interpolation()
        ):
            yield from _keys(value, f"{prefix}{key}.")


@lru_cache(maxsize=1)
def _settings() -> frozenset[str]:
    """Return the top-level keys that an experiment or a command line may set."""
    train = OmegaConf.load(catalogue().folders[-1] / "train.yaml")
    assert isinstance(train, DictConfig)
    groups = {next(iter(d)) for d in train.defaults if not isinstance(d, str)}
    return frozenset({str(k) for k in train} | groups) - {"defaults", "experiment"}


def _check_top_level(cfg: DictConfig, experiment: str) -> None:
    """An experiment's misspelt key merges silently: compare with train.yaml."""
    known = _settings()
    for key in map(str, cfg):
        if key not in known:
            raise UserError(f"experiment {experiment}: unknown key {key}{suggest(key, known)}")


def _check_nodes(cfg: DictConfig) -> None:
    for key in SEVERAL:
        _check_several(cfg, key)
    for key in ("datamodule", "model", "trainer"):
        node = cfg._get_node(key) if key in cfg else None
        if not isinstance(node, DictConfig) or node._is_none() or "_target_" not in node:
            raise UserError(f"{key} must be the name of a config that has a _target_")
    if not isinstance(cfg.per_dataset, DictConfig):
        raise UserError(f"per_dataset must map data sets to settings, got {cfg.per_dataset}")
    for name, values in cfg.per_dataset.items():
        if values is not None and not isinstance(values, DictConfig):
            raise UserError(f"per_dataset.{name!s} must map settings to values, got {values}")


def _check_several(cfg: DictConfig, key: str) -> None:
    node = cfg._get_node(key) if key in cfg else None
    if not isinstance(node, DictConfig) or node._is_none():
        raise UserError(f"{key} must map names to configs that have a _target_")
    for name in map(str, node):
        part = node._get_node(name)
        is_config = isinstance(part, DictConfig) and "_target_" in part
        if not is_config and node[name] is not None:
            raise UserError(f"{key}.{name} must be a config that has a _target_, or null")


def _apply(cfg: DictConfig, values: Any, where: str) -> None:
    OmegaConf.set_struct(cfg, True)
    try:
        cfg.merge_with(values)
    except CONFIG_ERRORS as error:
        raise UserError(f"{where}: {one_line(error).split(' full_key')[0]}") from error


def _leaves(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (key, value) of everything that holds nothing else."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(part, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for i, part in enumerate(value):
            yield from _leaves(part, f"{where}[{i}]")
    else:
        yield where, value


def _make_whole(cfg: DictConfig) -> None:
    """Make integers of numbers such as 1e5 where a setting of a run is one."""
    for key in (k for k in LEAST if k in cfg and not OmegaConf.is_missing(cfg, k)):
        if OmegaConf.is_interpolation(cfg, key):
            continue
        if isinstance(cfg[key], float) and cfg[key].is_integer():
            cfg[key] = int(cfg[key])


def _check_complete(cfg: DictConfig, experiment: str, dataset: str) -> None:
    others = [str(key) for key in cfg if key not in STATE_OTHERS]
    with user_errors(*CONFIG_ERRORS):
        stated = OmegaConf.masked_copy(cfg, others)
        leaves = dict(_leaves(OmegaConf.to_container(stated)))
    for key in sorted(key for key, value in leaves.items() if value == "???"):
        raise UserError(f"{key} must be given: experiment {experiment} has no value for {dataset}")
    for key, value in leaves.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{key} must be a finite number, got {value}")
    with user_errors(*CONFIG_ERRORS):
        OmegaConf.to_container(stated, resolve=True)
    for key in ("method", "paper"):
        if not isinstance(cfg[key], str):
            raise UserError(f"{key} must be a text, got {cfg[key]}")
    if not isinstance(cfg.row, str | None):
        raise UserError(f"row must be a text or null, got {cfg.row}")
    check_settings(cfg, [*LEAST, *SWITCHES, *LISTS, "precision"], f"experiment {experiment}")
