"""Margins of equivalence: what difference from a published score is too small to matter."""

from functools import lru_cache
from typing import Annotated, Any

from annotated_types import Gt
from omegaconf import OmegaConf
from pydantic.dataclasses import dataclass

from benchmarks.config.catalogue import Catalogue, catalogue
from benchmarks.config.schema import STRICT, Number, Text, parse
from benchmarks.config.yaml_files import read_yaml
from benchmarks.core.errors import UserError, suggest, user_errors

__all__ = ["FILE", "Margin", "margin_of"]

FILE = "margins.yaml"  # in each folder of configs
Positive = Annotated[Number, Gt(0)]


@dataclass(frozen=True, config=STRICT)
class Margin:
    """How far two scores of a metric may lie apart and count as the same.

    Attributes:
        why: The reason for its size.
        absolute: In the metric's unit; None for a relative one.
        relative: A share of the published value; None for an absolute one.
        step: The smallest difference that a count can show; None for what is no count.
    """

    why: Text
    absolute: Positive | None = None
    relative: Positive | None = None
    step: Positive | None = None

    def __post_init__(self) -> None:
        if (self.absolute is None) == (self.relative is None):
            raise ValueError("one of absolute and relative must be given")

    def around(self, value: float) -> float:
        """Return the largest difference from a published value that counts as none."""
        if self.absolute is not None:
            return float(self.absolute)
        assert self.relative is not None
        return abs(value) * self.relative


def margin_of(metric: str) -> Margin:
    """Return a metric's margin.

    Raises:
        UserError: if none is declared, with the nearest names.
    """
    known = _margins(catalogue())
    if metric not in known:
        raise UserError(
            f"metric {metric} must have a margin in configs/{FILE} to be set beside a published "
            f"value{suggest(metric, known)}"
        )
    return known[metric]


@lru_cache(maxsize=8)
def _margins(places: Catalogue) -> dict[str, Margin]:
    found: dict[str, Margin] = {}
    for folder in places.folders:
        path = folder / FILE
        if not path.is_file():
            continue
        values: Any = OmegaConf.to_container(read_yaml(path), resolve=True)
        if not isinstance(values, dict):
            raise UserError(f"{path} must map metrics to margins")
        with user_errors(ValueError):
            own = {str(key): parse(Margin, value, str(key)) for key, value in values.items()}
        for metric in own.keys() & found.keys():
            raise UserError(f"{path}: {metric} has a margin already")
        found |= own
    return found
