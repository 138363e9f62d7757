"""`make speed`: ratios measured in turn, in one run. A benchmark, not a test: nothing is gated."""
