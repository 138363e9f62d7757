"""What the suite asks of a logger beyond Lightning's own contract."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

__all__ = ["Summarizes"]


@runtime_checkable
class Summarizes(Protocol):
    """A logger that keeps last values apart from curves."""

    def summarize(self, values: Mapping[str, Any]) -> None:
        """Put values into the run's summary."""

    def finalize(self, status: str) -> None:
        """Close the run."""
