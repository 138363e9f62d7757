"""Statistics of a cell over seeds. Failed runs stay in, as failures beside the finite ones."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["CellStatistics", "summarize"]


@dataclass(frozen=True)
class CellStatistics:
    """A cell: mean and sample deviation over finite values.

    Attributes:
        mean: None without a finite value.
        std: Sample standard deviation (n - 1); None below two values.
        n: Finite values.
        failures: Runs that ended without a finite value.
        missing: Runs not done.
    """

    mean: float | None
    std: float | None
    n: int
    failures: int
    missing: int

    def text(self, digits: int) -> str:
        """Return `mean ± std`, `mean`, `failed`, or a dash."""
        if self.mean is None:
            return "failed" if self.failures else "–"
        mean = f"{self.mean:.{digits}f}"
        return mean if self.std is None else f"{mean} ± {self.std:.{digits}f}"


def summarize(values: Sequence[float | None], missing: int) -> CellStatistics:
    """Summarise one value per ended run (None, NaN or infinite: a failure)."""
    finite = [v for v in values if v is not None and math.isfinite(v)]
    return CellStatistics(
        mean=statistics.fmean(finite) if finite else None,
        std=statistics.stdev(finite) if len(finite) > 1 else None,
        n=len(finite),
        failures=len(values) - len(finite),
        missing=missing,
    )
