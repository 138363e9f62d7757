"""Protocols with other counts than a file's: the name states them, as every name does.

`fd_lenet_500_test400` measures what `fd_lenet_2k_test2k` does, by 500 samples and 400 test images.
The counts are part of the config, and so of the fingerprint.
"""

import re
from collections.abc import Iterable
from typing import Any

from omegaconf import DictConfig, OmegaConf

__all__ = ["name_with_counts", "same_but_counts", "with_counts"]

COUNT = r"[1-9]\d*k?"
STATED = re.compile(rf"(\w+)_({COUNT})_(train|validation|test)({COUNT})")


def name_with_counts(family: str, num_samples: int, split: str, num_real: int) -> str:
    """Return `<family>_<samples>_<split><real images>`, thousands as `k`."""
    return f"{family}_{_written(num_samples)}_{split}{_written(num_real)}"


def same_but_counts(name: str, known: Iterable[str]) -> str | None:
    """Return the first known name that differs in its counts only; None where there is none."""
    wanted = _without_counts(name)
    if wanted is None:
        return None
    return next((other for other in sorted(known) if _without_counts(other) == wanted), None)


def with_counts(cfg: DictConfig, name: str) -> DictConfig:
    """Return a protocol's config with the counts that a name states, for its metrics too."""
    found = STATED.fullmatch(name)
    assert found is not None
    num_samples, num_real = _number(found[2]), _number(found[4])
    values: Any = OmegaConf.to_container(cfg)
    for metric in values.get("metrics", {}).values():
        if "num_samples" in metric:
            metric["num_samples"] = num_samples
    counted: Any = OmegaConf.create({**values, "num_samples": num_samples, "num_real": num_real})
    OmegaConf.set_struct(counted, True)
    return counted


def _without_counts(name: str) -> tuple[str, str] | None:
    found = STATED.fullmatch(name)
    return None if found is None else (found[1], found[3])


def _number(text: str) -> int:
    return int(text[:-1]) * 1000 if text.endswith("k") else int(text)


def _written(count: int) -> str:
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)
