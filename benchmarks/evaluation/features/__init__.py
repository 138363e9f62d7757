"""Feature extractors with pinned weights."""
