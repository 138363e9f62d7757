"""Random search: a space is a file of `configs/search`, its configurations are data by a seed."""

import copy
import math
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from benchmarks.config.catalogue import catalogue
from benchmarks.config.compose import with_values
from benchmarks.config.identity import config_hash, determining, short_hash
from benchmarks.config.yaml_files import read_yaml
from benchmarks.core.errors import UserError, user_errors

__all__ = ["configuration", "hasher", "load_space"]

DISTRIBUTIONS = ("uniform", "log_uniform", "integer", "choice")
DIGITS = 6  # of a drawn number, so that a list of configurations can be read and typed
Space = Mapping[str, Any]


def load_space(name: str) -> Space:
    """Read and check a search space.

    It maps dotted keys of an experiment, several with commas between them where they share one
    value, to a constant, a list, or one of {uniform: [low, high]}, {log_uniform: [low, high]},
    {integer: [low, high]} (both included), {choice: [...]}.

    Raises:
        UserError: if it does not exist or is malformed.
    """
    path = catalogue().file("search", name)
    with user_errors(ValueError, OSError):
        space: Any = OmegaConf.to_container(read_yaml(path))
    if not isinstance(space, dict) or not space:
        raise UserError(f"search {name} must map keys to values or ranges")
    for key, value in space.items():
        _check(f"search {name}: {key}", value)
    return space


def configuration(space: Space, seed: int, index: int) -> dict[str, Any]:
    """Return the values of one configuration by dotted key.

    It depends on space, seed and index only, so that a longer search begins with a shorter one.
    """
    rng = np.random.default_rng([seed, index])
    values: dict[str, Any] = {}
    for keys, rule in space.items():
        drawn = _draw(rule, rng)
        values |= {key.strip(): drawn for key in keys.split(",")}
    return values


def hasher(cfg: DictConfig, sample: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], str]:
    """Return what hashes the config with values; quick where no interpolation refers to a key.

    Raises:
        UserError: if a key does not exist.
    """

    def slow(values: Mapping[str, Any]) -> str:
        return config_hash(with_values(cfg, values))

    plain = determining(cfg)

    def quick(values: Mapping[str, Any]) -> str:
        copied = copy.deepcopy(plain)
        for key, value in values.items():
            *path, last = key.split(".")
            reduce(lambda node, name: node[name], path, copied)[last] = value
        return short_hash(copied)

    wanted = slow(sample)  # refuses keys that do not exist
    try:
        return quick if quick(sample) == wanted else slow
    except KeyError:  # not among what determines the training
        return slow


def _check(where: str, rule: Any) -> None:
    if isinstance(rule, list):
        for part in rule:
            _check(where, part)
        return
    if not isinstance(rule, dict):
        return
    if len(rule) != 1 or next(iter(rule)) not in DISTRIBUTIONS:
        allowed = ", ".join(DISTRIBUTIONS)
        raise UserError(f"{where} must have one of {allowed}, got {', '.join(map(str, rule))}")
    kind, bounds = next(iter(rule.items()))
    if not isinstance(bounds, list) or not bounds:
        raise UserError(f"{where}: {kind} must be a list, got {bounds}")
    if kind == "choice":
        return
    numbers = [b for b in bounds if isinstance(b, int | float) and not isinstance(b, bool)]
    least = 0.0 if kind == "log_uniform" else -math.inf
    if len(numbers) != len(bounds) or len(bounds) != 2 or not least < numbers[0] <= numbers[1]:
        raise UserError(f"{where}: {kind} must be [low, high], ascending, got {bounds}")


def _draw(rule: Any, rng: np.random.Generator) -> Any:
    if isinstance(rule, list):
        return [_draw(part, rng) for part in rule]
    if not isinstance(rule, dict):
        return rule
    kind, bounds = next(iter(rule.items()))
    if kind == "choice":
        return bounds[int(rng.integers(len(bounds)))]
    low, high = bounds
    if kind == "integer":
        return int(rng.integers(low, high + 1))
    if kind == "log_uniform":
        return _short(math.exp(rng.uniform(math.log(low), math.log(high))))
    return _short(float(rng.uniform(low, high)))


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
