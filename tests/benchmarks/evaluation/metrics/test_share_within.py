"""The share of distances within a threshold."""

import pytest
import torch

from benchmarks.evaluation.metrics.share_within import ShareWithin


def test_share_by_hand_in_parts():
    metric = ShareWithin(0.75)
    metric.update(torch.tensor([0.0, 0.75, 0.76]))  # the threshold itself counts
    metric.update(torch.tensor([2.0]))
    assert metric.compute().item() == 0.5


def test_no_distance_and_no_threshold_are_refused():
    with pytest.raises(ValueError, match="at least 1 distance, got 0"):
        ShareWithin(0.75).compute()
    with pytest.raises(ValueError, match="threshold must be > 0, got 0"):
        ShareWithin(0)
