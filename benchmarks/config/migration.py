"""Records and run folders of schema 1, brought to today's names and identities.

Schema 1 knew classes by the path of their module, and players of a game by keys of the model.
Everything that has changed since stands here, once: it serves records when they are read, the
folders of old runs, and `python -m benchmarks.migration`, which rewrites what is published.
"""

import copy
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from omegaconf import OmegaConf

from benchmarks.config.catalogue import names
from benchmarks.config.compose import compose_group
from benchmarks.config.identity import (
    IDENTITY_KEYS,
    LENGTH,
    SPLITS,
    fingerprint,
    hash_of,
    own_data,
)

__all__ = ["MODULES", "RENAMED", "migrated", "migrated_config", "migrated_key", "moved"]

MODULES: dict[str, str] = {}  # of schema 1 -> today's, where they differ
RENAMED = {  # classes whose name has changed, or that have left their module's others
    "lit_models.autoregressive.likelihoods.CategoricalLikelihood": (
        "lit_models.autoregressive.likelihoods.CategoricalPixels"
    ),
}


def moved(target: str) -> str:
    """Return today's path of a class of schema 1; others, such as torch's, as they are."""
    if target in RENAMED:
        return RENAMED[target]
    module, _, name = target.rpartition(".")
    return f"{MODULES.get(module, module)}.{name}" if module else target


def migrated(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a record of schema 1 as those of schema 2.

    A run whose id is not that of its config, and a measurement whose protocol is another one
    today, keep their old identities, and so stay stale.
    """
    values = copy.deepcopy(values)
    old, config = values["run_id"], values.get("config", {})
    values["migrated_from"], values["schema_version"] = old, 2
    if values["experiment"] == "images":
        values["run_id"] = _images_ids(values["dataset"]).get(old, old)
    else:
        values["config"] = migrated_config(config)
        values["run_id"] = _migrated_id(old, config, values["config"])
    for key in ("overrides", "deviations"):
        values[key] = [_migrated_text(text, config) for text in values.get(key, [])]
    for evaluation in values.get("evaluations", []):
        mark = evaluation["fingerprint"]
        evaluation["fingerprint"] = _protocol_marks().get(mark, mark)
    return values


def _migrated_id(old: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    """Return the id of a migrated config, if the old id was that of the old config."""
    hashed, _, rest = old.partition("-")
    if hash_of(_plain(_determining(before)))[:LENGTH] != hashed:
        return old
    return f"{fingerprint(_determining(after))[:LENGTH]}-{rest}"


def _determining(config: dict[str, Any]) -> dict[str, Any]:
    found = {key: config[key] for key in IDENTITY_KEYS if key in config}
    if isinstance(found.get("datamodule"), dict):
        found["datamodule"] = own_data(found["datamodule"])
    return found


def migrated_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return the config of a run of schema 1 with today's classes and keys."""
    return _with_targets(config, moved)


def migrated_key(key: str, config: dict[str, Any]) -> str:
    """Return today's dotted key of one of schema 1, in the config of its run."""
    return key


def _migrated_text(text: str, config: dict[str, Any]) -> str:
    """Return an override, or a deviation that states one, with today's key."""
    before, equals, value = text.partition("=")
    *said, key = before.split(" ")
    return " ".join([*said, migrated_key(key, config)]) + equals + value if equals else text


def _with_targets(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {
            k: change(v) if k == "_target_" and isinstance(v, str) else _with_targets(v, change)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [_with_targets(v, change) for v in value]
    return value


def _plain(value: Any) -> Any:
    """Return what schema 1 hashed: classes by their paths."""
    if isinstance(value, dict):
        return {str(k): _plain(value[k]) for k in sorted(value) if value[k] is not None}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _before(target: str) -> str:
    """Return the path that a class of today had in schema 1."""
    renamed = {new: old for old, new in RENAMED.items()}
    if target in renamed:
        return renamed[target]
    module, _, name = target.rpartition(".")
    modules = {new: old for old, new in MODULES.items()}
    return f"{modules.get(module, module)}.{name}"


@lru_cache(maxsize=1)
def _protocol_marks() -> dict[str, str]:
    """Return today's fingerprint of each protocol by that of schema 1."""
    found = {}
    for name in names("protocol"):
        cfg = OmegaConf.to_container(compose_group("protocol", name), resolve=True)
        found[hash_of(_plain(_with_targets(cfg, _before)))] = fingerprint(cfg)
    return found


@lru_cache(maxsize=64)
def _images_ids(dataset: str) -> dict[str, str]:
    """Return today's id of the images of each split of a data set by that of schema 1."""
    if dataset not in names("datamodule"):
        return {}
    cfg: Any = OmegaConf.to_container(compose_group("datamodule", dataset), resolve=True)
    data = own_data(cfg)
    found = {}
    for split in SPLITS:
        old = hash_of(_plain([split, _with_targets(data, _before)]))[:LENGTH]
        found[f"{old}-r1-s0"] = f"{fingerprint([split, data])[:LENGTH]}-r1-s0"
    return found
