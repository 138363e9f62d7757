"""Settings of a run that every experiment has: their kinds and their bounds."""

from collections.abc import Sequence

from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig, ListConfig
from omegaconf.errors import OmegaConfBaseException

from benchmarks.core.errors import UserError, user_errors

__all__ = ["CONFIG_ERRORS", "LEAST", "LISTS", "SWITCHES", "check_settings"]

LEAST = {
    "seed": 0,
    "revision": 0,
    "images_seen": 0,
    "threads": 1,
    "draws": 1,
    "log_every_updates": 1,
    "snapshot_every_images": 1,
    "checkpoint_every_images": 1,
    "checkpoint_every_minutes": 1,
    "process_timeout_seconds": 5,
    "sample_grid_every_images": 1,
}
MOST = {"threads": 4096}
LARGEST = 2**63 - 1
SWITCHES = ("data_on_device", "channels_last", "compile")
LISTS = ("protocols", "snapshot_protocols", "deviations", "data_deviations")
PRECISIONS = ("32-true", "64-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true")
MAY_BE_NULL = [key for key in LEAST if "_every_" in key and "log" not in key]
CONFIG_ERRORS = (
    HydraException,
    OmegaConfBaseException,
    ConfigCompositionException,
    RecursionError,  # defaults that name each other
    # of a file whose parts are of other kinds than Hydra expects, such as `defaults: 5`
    AssertionError,
    AttributeError,
    KeyError,
    OSError,
    TypeError,
    ValueError,
)


def check_settings(cfg: DictConfig, keys: Sequence[str], where: str) -> None:
    """Refuse settings of a run that are missing, of another kind, or too small or large.

    Raises:
        UserError: naming the first.
    """
    for key in keys:
        if key not in cfg:
            raise UserError(f"{key} must be given: {where} has none")
    for key, least in ((k, v) for k, v in LEAST.items() if k in keys):
        value, most = cfg[key], MOST.get(key, LARGEST)
        if value is None and key in MAY_BE_NULL:
            continue
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value < least:
            raise UserError(f"{key} must be an integer >= {least}, got {value}")
        if value > most:
            raise UserError(
                f"{key} must be an integer <= {most}, got one of {len(str(value))} digits"
            )
    _check_kinds(cfg, keys)


def _check_kinds(cfg: DictConfig, keys: Sequence[str]) -> None:
    for key in (k for k in SWITCHES if k in keys):
        if not isinstance(cfg[key], bool):
            raise UserError(f"{key} must be true or false, got {cfg[key]}")
    for key in (k for k in LISTS if k in keys):
        with user_errors(*CONFIG_ERRORS):
            value = cfg[key]
            fits = isinstance(value, ListConfig) and all(isinstance(v, str) for v in value)
        if not fits and not (value is None and key == "protocols"):  # those that fit the data
            raise UserError(f"{key} must be a list of texts, got {value}")
    if cfg.precision not in PRECISIONS:  # other spellings would be other runs
        raise UserError(f"precision must be one of {', '.join(PRECISIONS)}, got {cfg.precision}")
