"""Models that join families."""
