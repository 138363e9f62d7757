"""What a plan asks of protocols: read from their files where these say so, else of the class."""

import sys

import pytest

from benchmarks.config.catalogue import names
from benchmarks.config.compose import compose_group
from benchmarks.core.errors import UserError
from benchmarks.tables.plan.asked import needs_model

CLASSES = """
from benchmarks.evaluation.protocols.likelihood import LikelihoodProtocol
from benchmarks.evaluation.protocols.modes import CoverageProtocol

NEEDS = LikelihoodProtocol.needs

class Named(CoverageProtocol):
    needs = NEEDS

class Inherits(LikelihoodProtocol):
    pass

class Silent:
    pass
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A package of a user's own, and a function that gives one of its classes a protocol."""
    (tmp_path / "protocols_of_mine.py").write_text(CLASSES)
    (tmp_path / "configs" / "protocol").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("DGMBENCH_PATH", str(tmp_path / "configs"))
    yield lambda target: (tmp_path / "configs" / "protocol" / "mine.yaml").write_text(
        f"_target_: {target}\n"
    )
    sys.modules.pop("protocols_of_mine", None)


def test_what_is_read_is_what_the_class_says():
    from hydra.utils import get_class

    for name in names("protocol"):
        expected = bool(get_class(compose_group("protocol", name)._target_).needs)
        assert needs_model(name) == expected, name
    assert needs_model("nll_test_k5000")
    assert not needs_model("modes_2500")


@pytest.mark.parametrize("name", ["Named", "Inherits"])
def test_needs_that_are_no_literal_are_asked_of_the_class(own, name):
    own(f"protocols_of_mine.{name}")
    assert needs_model("mine")


@pytest.mark.parametrize(
    "target", ["protocols_of_mine.Silent", "protocols_of_mine.Absent", "no_such_package.Class"]
)
def test_a_target_that_is_no_protocol_is_one_line(own, target):
    own(target)
    with pytest.raises(UserError, match=f"must be a class that says what it needs, got {target}"):
        needs_model("mine")
