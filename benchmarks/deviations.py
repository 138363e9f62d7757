"""What a run does otherwise than its paper, stated from its composed config."""

import re
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError

from benchmarks.identity import IDENTITY_KEYS

__all__ = ["formatted", "register_resolver", "stated_deviations"]

SMALL = 1e-3  # numbers below it are written with an exponent
NO_DIFFERENCE = re.compile(r"(?:^| )(\S+) instead of \1(?: |,|$)")


def register_resolver() -> None:
    """Let configs write `${number:KEY}`, or `${number:KEY,DIVISOR}`, in their deviations.

    A deviation that states a number must take it from the config, so that an override cannot make
    it untrue. The key's value is written as `formatted` does.
    """
    OmegaConf.register_new_resolver("number", _number, replace=True)


def _number(key: str, divisor: int = 1, *, _root_: DictConfig) -> str:
    value = OmegaConf.select(_root_, str(key), throw_on_missing=True)
    if value is None:
        raise InterpolationKeyError(f"a deviation states {key}, which the config does not have")
    return formatted(value if divisor == 1 else value / divisor)


def formatted(value: Any) -> str:
    """Return numbers as deviations state them: 96,000; .05; 5e-4; lists with commas between."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(formatted, value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if float(value).is_integer():
        return f"{int(value):,}"
    if abs(value) < SMALL:
        mantissa, exponent = f"{value:.6e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return re.sub(r"^(-?)0\.", r"\1.", f"{value:.6g}")


def stated_deviations(cfg: DictConfig, overrides: Sequence[str]) -> list[str]:
    """Return an experiment's deviations, without those that an override has taken back.

    What the command line sets of the training is a deviation, too.
    """
    stated = [str(d) for d in (*cfg.deviations, *cfg.data_deviations)]
    return [d for d in stated if not NO_DIFFERENCE.search(d)] + [
        f"set by hand: {o}" for o in overrides if _changes_the_training(o)
    ]


def _changes_the_training(override: str) -> bool:
    group, _, package = override.lstrip("+~").split("=")[0].partition("@")
    key = package or group
    return key != "datamodule" and key.split(".")[0] in IDENTITY_KEYS
