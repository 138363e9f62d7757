"""What a run does otherwise than its paper, stated from its composed config."""

import re
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from benchmarks.config.identity import IDENTITY_KEYS

__all__ = ["formatted", "override_key", "register_resolver", "stated_deviations"]

SMALL = 1e-3  # numbers below it are written with an exponent
NUMBER = r"-?\.?\d[\d.]*(?:,\d{3})*(?:e-?\d+)?"
NUMBERS = rf"{NUMBER}(?:, {NUMBER})*"
DIFFERENCE = re.compile(rf"({NUMBERS}) instead of ({NUMBERS})")
# begins what is true as long as nothing, or nothing of a key, is overridden
UNLESS = re.compile(r"^unless (?:(\S+) is )?overridden: ")
UNKNOWN = "(unknown)"  # what an override has removed; a sentence about it is not true any more
STATED = (*IDENTITY_KEYS, "per_dataset", "method", "deviations", "data_deviations")


def register_resolver() -> None:
    """Let configs write `${number:KEY}`, or `${number:KEY,DIVISOR}`, in their deviations.

    A deviation that states a number must take it from the config, so that an override cannot make
    it untrue. The key's value is written as `formatted` does; of `[KEY, KEY]` every value that
    differs from those before.
    """
    OmegaConf.register_new_resolver("number", _number, replace=True)


def _number(keys: str | ListConfig, divisor: int = 1, *, _root_: DictConfig) -> str:
    found = []
    for key in [keys] if isinstance(keys, str) else keys:
        value = OmegaConf.select(_root_, str(key), throw_on_missing=True)
        if value is None:
            return UNKNOWN
        found.append(formatted(value if divisor == 1 else value / divisor))
    return ", ".join(dict.fromkeys(found))


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
    changed = {o: key for o in overrides if _is_stated(key := override_key(o))}
    texts = map(str, (*cfg.deviations, *cfg.data_deviations))
    stated = [UNLESS.sub("", text) for text in texts if _still_true(text, set(changed.values()))]
    return [*stated, *(f"overridden: {o}" for o in changed)]


def _still_true(text: str, changed: set[str]) -> bool:
    difference, unless = DIFFERENCE.search(text), UNLESS.match(text)
    if UNKNOWN in text or (difference is not None and difference[1] == difference[2]):
        return False
    if unless is None:
        return True
    key = unless[1]
    return not (changed if key is None else [c for c in changed if _one_holds_other(c, key)])


def _one_holds_other(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _is_stated(key: str) -> bool:
    """Return whether a key is of what is trained or stated; a choice of data set is neither."""
    return key != "datamodule" and key.split(".")[0] in STATED


def override_key(override: str) -> str:
    """Return the dotted key that an override of the command line changes."""
    group, _, package = override.lstrip("+~").split("=")[0].partition("@")
    return package or group
