"""How many seeds an inconclusive cell would take."""

from bisect import bisect_left

from benchmarks.tables.analysis.agreement import Agreement, PublishedValue, half_width
from benchmarks.tables.analysis.statistics import CellStatistics
from benchmarks.tables.margins import Margin

__all__ = ["seeds_needed"]

MOST_SEEDS = 1000  # beyond, a number would only seem to be one


def seeds_needed(
    ours: CellStatistics, theirs: PublishedValue, found: Agreement, margin: Margin | None
) -> int | None:
    """Return the number of seeds that would decide a cell, if mean and spread stayed as they are.

    None where it is decided, where nothing can be said of it, and where no number up to 1,000
    would do.
    """
    if found.verdict != "inconclusive" or found.difference is None or margin is None:
        return None
    if ours.std is None:
        return 2
    assert found.margin is not None
    gap, std = abs(abs(found.difference) - found.margin), ours.std
    counts = range(ours.n + 1, MOST_SEEDS + 1)  # the more seeds, the narrower
    enough = bisect_left(
        counts, True, key=lambda n: half_width(std, n, theirs, margin.step) <= gap
    )
    return counts[enough] if enough < len(counts) else None
