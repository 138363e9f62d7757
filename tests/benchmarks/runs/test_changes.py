"""What differs between two sets of records, runs paired by seed."""

import pytest

from benchmarks.runs.changes import changes
from benchmarks.runs.record import Evaluation, Record


def record(value, seed=0, experiment="e", **settings):
    evaluation = Evaluation("p", "f" * 64, "last", "raw", 1, {"m": value, "none": None})
    return Record(
        experiment, "d", "id-r1-s0", seed, "finished", evaluations=[evaluation], **settings
    )


def test_pairs_by_seed_with_an_interval():
    a = [record(float(s), s) for s in range(4)]
    b = [record(float(s) + 1 + 0.1 * s, s) for s in range(1, 5)]
    (found,) = changes(a, b)
    assert (found.pairs, found.metric) == (3, "p (ffffffffffff) [last, raw] m")
    assert found.difference == pytest.approx(1.2)
    low, high = found.interval
    assert low < 1.2 < high


def test_two_records_of_different_experiments_share_their_data():
    (found,) = changes([record(1.0)], [record(3.0, 5, "other")])
    assert (found.difference, found.interval) == (2.0, None)
    assert list(changes([record(1.0), record(2.0, 1)], [record(3.0, 0, "other")])) == []


def test_configurations_at_one_seed_stay_apart():
    def at(value, stem, seed=0):
        found = record(value, seed)
        found.run_id = f"{stem}-r1-s{seed}"
        return found

    a = [at(1.0, "x"), at(99.0, "y"), at(2.0, "x", 1)]
    found = {c.label: c for c in changes(a, [at(1.0, "x"), at(2.5, "x", 1)])}
    assert list(found) == ["e on d (x-r1)"]
    assert found["e on d (x-r1)"].difference == pytest.approx(0.25)
