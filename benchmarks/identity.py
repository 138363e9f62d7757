"""The identity of a run: a hash of what determines its training. Nothing here imports torch."""

import hashlib
import json
from typing import Any

from omegaconf import DictConfig, OmegaConf

__all__ = [
    "IDENTITY_KEYS",
    "canonical",
    "config_hash",
    "determining",
    "fingerprint",
    "identity",
    "run_id",
    "short_hash",
    "without_seed",
]

LENGTH = 10
IDENTITY_KEYS = ("datamodule", "model", "images_seen", "precision", "snapshot_every_images")
NOT_IDENTITY = ("fingerprint", "path", "root")  # of a datamodule: expected hash, and where it lies


def canonical(value: Any) -> Any:
    """Return the value without nulls, with sorted keys and whole floats as integers."""
    if isinstance(value, dict):
        return {str(k): canonical(value[k]) for k in sorted(value) if value[k] is not None}
    if isinstance(value, list | tuple):
        return [canonical(v) for v in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def fingerprint(value: Any) -> str:
    """Return the SHA-256 of a canonical value, in hexadecimal."""
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def identity(cfg: DictConfig) -> dict[str, Any]:
    """Return the values that determine the training, resolved."""
    return canonical(determining(cfg))


def determining(cfg: DictConfig) -> dict[str, Any]:
    """Return the same with its nulls."""
    resolved = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(resolved, dict)
    values = {key: resolved[key] for key in IDENTITY_KEYS}
    values["datamodule"] = {k: v for k, v in values["datamodule"].items() if k not in NOT_IDENTITY}
    return values


def config_hash(cfg: DictConfig) -> str:
    """Return the short hash of a run's identity, without revision and seed."""
    return short_hash(determining(cfg))


def short_hash(values: Any) -> str:
    """Return the short hash of what determines a training."""
    return fingerprint(values)[:LENGTH]


def without_seed(identifier: str) -> str:
    """Return a run id without its seed: what all seeds of a configuration share."""
    return identifier.rsplit("-s", 1)[0]


def run_id(cfg: DictConfig) -> str:
    """Return `<hash>-r<revision>-s<seed>`."""
    return f"{config_hash(cfg)}-r{cfg.revision}-s{cfg.seed}"
