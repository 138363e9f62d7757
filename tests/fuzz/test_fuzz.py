"""The shortest version of `make fuzz`: some calls of every kind, by a fixed seed."""

import pytest

from tests.fuzz.calls import Call, draw
from tests.fuzz.judge import call_here
from tests.fuzz.space import Space

SEED, OF_EACH = 20, 4
KINDS = ("parser", "override", "record", "file", "config")


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    found = Space(tmp_path_factory.mktemp("fuzz") / "space")
    with found.entered():
        found.make()
        yield found


def test_no_call_ends_in_a_traceback_and_refusals_name_what_is_wrong(space):
    drawn = [(number, draw(SEED, number)) for number in range(200)]
    chosen = [pair for kind in KINDS for pair in [p for p in drawn if p[1].kind == kind][:OF_EACH]]
    assert len(chosen) == OF_EACH * len(KINDS)
    failed = [(number, call_here(space, call)) for number, call in chosen]
    assert not [each for each in failed if each[1] is not None]


def test_the_same_seed_draws_the_same_calls():
    one, other = draw(1, 2), draw(1, 2)
    assert (one.kind, one.arguments, one.environment) == (
        other.kind,
        other.arguments,
        other.environment,
    )


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), IndexError()])
def test_a_fault_is_found_and_is_named_by_its_place(space, error, monkeypatch):
    def fail(*_):
        raise error

    monkeypatch.setattr("benchmarks.execution.status.print_status", fail)
    failure = call_here(space, Call("parser", ["status"]))
    assert failure.kind.startswith("fault at test_fuzz.py:")
    assert type(error).__name__ in failure.kind


def test_a_refusal_that_names_nothing_is_found(space):
    call = Call("override", ["status", "nowhere"], {}, ("something else",))
    assert call_here(space, call).kind.startswith("override: nothing is named: dgmbench: table")
