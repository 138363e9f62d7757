"""Other counts in a protocol's name are other counts in its config, and nothing else."""

import pytest

from benchmarks.config.catalogue import names
from benchmarks.config.compose import compose_group
from benchmarks.config.counts import STATED, name_with_counts, same_but_counts, with_counts
from benchmarks.config.identity import protocol_fingerprint
from benchmarks.core.errors import UserError

COUNTED = [name for name in names("protocol") if STATED.fullmatch(name)]


@pytest.mark.parametrize("name", COUNTED)
def test_files_of_one_family_differ_in_their_counts_only(name):
    """So it does not matter which of them a name with other counts is taken from."""
    twin = compose_group("protocol", same_but_counts(name, names("protocol")))
    file = compose_group("protocol", name)
    assert protocol_fingerprint(with_counts(twin, name)) == protocol_fingerprint(file)


def test_the_counts_are_those_of_the_name_and_enter_the_fingerprint():
    cfg = compose_group("protocol", "fd_lenet_500_test3k")
    assert (cfg.num_samples, cfg.num_real, cfg.real_split) == (500, 3000, "test")
    assert cfg.metrics.lenet_score.num_samples == 500
    found = {protocol_fingerprint(compose_group("protocol", f"fid_{n}_test10k")) for n in "1234"}
    assert len(found) == 4
    assert name_with_counts("fid", 10_000, "train", 1_500) == "fid_10k_train1500"


@pytest.mark.parametrize("name", ["fid_500", "fid_0_test5", "nothing_5_test5", "kid_5_train5"])
def test_no_other_name_is_taken_for_one(name):
    with pytest.raises(UserError, match=f"protocol '{name}' does not exist"):
        compose_group("protocol", name)
