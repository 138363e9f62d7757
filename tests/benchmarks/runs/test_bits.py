"""A run done again: the same bits, a fault, or the rounding of another machine."""

import pytest

from benchmarks.runs.bits import compared, machine_type
from benchmarks.runs.record import Evaluation, Record

MINE = {"device": "CPU (A)", "instructions": "AVX512", "threads": 1, "processes": 1}
OTHER = {**MINE, "instructions": "AVX2"}


def run(value, cost=MINE, seed=0, status="finished"):
    found = Evaluation("p", "f", "last", "raw", 1, {"m": value})
    return Record(
        "e", "d", f"i-r1-s{seed}", seed, status, evaluations=[found], cost=dict(cost),
        versions={"torch": "2", "numpy": "1"},
    )  # fmt: skip


SEEDS = [run(value, seed=i) for i, value in enumerate((10.0, 11.0, 12.0))]  # 95 %: 11 +- 4.97


@pytest.mark.parametrize(
    ("old", "new", "text", "is_good"),
    [
        (run(10.0), run(10.0), "same bits", True),
        (run(10.0), run(10.0, OTHER), "same bits", True),
        (run(10.0), run(10.0 + 1e-12), "same machine type, other bits: a fault", False),
        (run(10.0), run(10.00001, OTHER), "another machine type: the same but for rounding", True),
        (run(10.0), run(15.9, OTHER), "another machine type: inside the seeds' spread", True),
        (run(10.0), run(16.0, OTHER), "another machine type: outside the seeds' spread", False),
        (run(10.0, {}), run(15.9), "machine type not recorded: inside the seeds' spread", True),
        (run(10.0), run(None, OTHER), "another machine type: outside the seeds' spread", False),
        (
            run(10.0),
            run(10.0, OTHER, status="diverged"),
            "another machine type: outside the seeds' spread",
            False,
        ),
    ],
)
def test_what_is_said_of_a_run_done_again(old, new, text, is_good):
    found = compared(old, new, SEEDS)
    assert (found.text, found.is_good) == (text, is_good)
    assert found.is_fault == ("fault" in text)


def test_two_seeds_tell_no_spread():
    found = compared(run(10.0), run(10.5, OTHER), SEEDS[:2])
    assert found.text == (
        "another machine type: other scores, and fewer than 3 seeds that would tell their spread"
    )
    assert not found.is_good


@pytest.mark.parametrize(
    ("key", "other"), [("device", "x"), ("instructions", "x"), ("threads", 2), ("processes", 2)]
)
def test_a_machine_type_is_all_that_rounding_depends_on(key, other):
    assert machine_type(run(1.0)) == machine_type(run(2.0, seed=5))
    assert machine_type(run(1.0)) != machine_type(run(1.0, {**MINE, key: other}))
    newer = run(1.0)
    newer.versions["torch"] = "3"
    assert machine_type(newer) != machine_type(run(1.0))
    assert machine_type(run(1.0, {"device": "CPU"})) is None


def test_caps_on_instruction_sets_are_another_machine_type(monkeypatch):
    import torch

    from benchmarks.core.environment import instructions

    plain = instructions(torch.device("cpu"))
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    assert instructions(torch.device("cpu")) == f"{plain}, ONEDNN_MAX_CPU_ISA=SSE41"
