"""`dgmbench gate`: a published table run again."""

import pytest

from benchmarks.__main__ import main
from benchmarks.runs.record import Evaluation, Record, read_record
from benchmarks.tables.gate import gate
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.plan.planned_run import fingerprint_of, published_record_path
from benchmarks.tables.plan.scale import keep_scale
from benchmarks.tables.spec import load_spec
from tests.benchmarks.tables.helpers import MINI, Puts


@pytest.fixture
def small(own_configs, outputs):
    """A table of one PixelCNN that trains for a few steps, published with three seeds."""
    rows = (
        MINI[: MINI.index("  - {label: A")]
        + "  - {label: B, experiment: untrained/pixelcnn_quick}\n"
    )
    (own_configs / "table" / "mini.yaml").write_text(rows.replace("seeds: 2", "seeds: 3"))
    return make_plan(load_spec("mini"))


def publish(plan, values):
    """Write published records with these scores."""
    for run, value in zip(plan.runs, values, strict=True):
        protocol = run.protocols[0]
        evaluation = Evaluation(
            protocol, fingerprint_of(protocol), "last", "raw", 0, {"bits_per_dim": value}
        )
        found = Record(run.experiment, run.dataset, run.run_id, run.seed, "finished")
        found.evaluations = [evaluation]
        found.write(published_record_path("mini", run))


@pytest.mark.parametrize(
    ("values", "code", "word"),
    [
        ((4.0, 4.1, 4.2), 0, "1 scores, 0 regressed or not compared"),
        ((1.0, 1.001, 1.002), 1, "REGRESSED"),
        ((4.1, None, None), 1, "whose noise is not known"),
    ],
)
def test_the_gate(small, capfd, values, code, word):
    """An untrained PixelCNN scores 4.11 within .07."""
    publish(small, values)
    assert main(["gate", "mini", "--jobs", "1"]) == code
    assert word in capfd.readouterr().out


def test_a_gate_needs_published_records(small, capsys):
    assert main(["gate", "mini"]) == 2
    assert "table mini must have published records in" in capsys.readouterr().err


def test_a_search_is_no_gate(capsys):
    assert main(["gate", "quick_search"]) == 2
    assert "must have no search to be a gate" in capsys.readouterr().err


# -- without training ----------------------------------------------------------------------------


@pytest.fixture
def unchanged(monkeypatch):
    """A clean checkout, which a test may change; no figures."""
    state = {"git_commit": "0123456789abcdef", "dirty": False}
    monkeypatch.setattr("benchmarks.tables.gate.code_state", lambda: state)
    monkeypatch.setattr("benchmarks.tables.run.write_figures", lambda table, folder: [])
    return state


# scores 4.0, 4.1, 4.2: mean 4.1, deviation 0.1; t at 95 % with 2 degrees of freedom is 2.920
@pytest.mark.parametrize(
    ("better", "seeds", "score", "regressed"),
    [
        ("lower", 1, 4.437, False),  # 4.1 + 2.920 * 0.1 * sqrt(1 + 1/3) = 4.4372
        ("lower", 1, 4.438, True),
        ("lower", 2, 4.366, False),  # 4.1 + 2.920 * 0.1 * sqrt(1/2 + 1/3) = 4.3666
        ("lower", 2, 4.367, True),
        ("lower", 1, 0.1, False),
        ("higher", 1, 3.763, False),
        ("higher", 1, 3.762, True),
        ("higher", 1, 9.9, False),
    ],
)
def test_a_score_may_be_worse_by_the_interval_of_a_new_mean(
    small, own_configs, unchanged, capsys, better, seeds, score, regressed
):
    path = own_configs / "table" / "mini.yaml"
    path.write_text(path.read_text().replace("better: lower", f"better: {better}"))
    publish(small, (4.0, 4.1, 4.2))
    assert gate("mini", [], seeds, Puts(B=score)) == regressed
    last, verdict = capsys.readouterr().out.splitlines()[:-3:-1]
    assert verdict.startswith("B, bits: 4.10 ± 0.10 before (n = 3), ")
    assert f"now (n = {seeds}), allowed 0.{'337' if seeds == 1 else '267'} worse" in verdict
    assert verdict.endswith(": REGRESSED") == regressed
    assert f"mini: 1 scores, {int(regressed)} regressed or not compared; {seeds} runs done" in last


@pytest.mark.parametrize(("score", "code"), [(4.1 * (1 + 9e-6), 0), (4.1 * (1 + 2e-5), 1)])
def test_scores_without_noise_may_differ_by_rounding(small, unchanged, score, code):
    publish(small, (4.1, 4.1, 4.1))
    assert gate("mini", [], 1, Puts(B=score)) == code


@pytest.mark.parametrize(
    ("instructions", "score", "code", "text"),
    [
        ("AVX512", 4.0, 0, "B digits s0: same bits\n"),
        ("AVX512", 4.0 + 1e-12, 1, "B digits s0: same machine type, other bits: a fault\n"),
        ("AVX2", 4.3, 0, "B digits s0: another machine type: inside the seeds' spread\n"),
    ],
)
def test_the_same_seed_gives_the_same_bits_or_says_why_not(
    small, unchanged, capsys, monkeypatch, instructions, score, code, text
):
    def on(record, kind):
        record.cost |= {"device": "CPU", "instructions": kind, "threads": 1, "processes": 1}
        return record

    publish(small, (4.0, 4.1, 4.2))
    for run in small.runs:
        path = published_record_path("mini", run)
        on(read_record(path), "AVX512").write(path)
    executor = Puts(B=score)
    work = executor.run

    def run_elsewhere(ready, rates):
        failed = work(ready, rates)
        for run in ready:
            on(run.run.record(), instructions).write(run.run.record_path)
        return failed

    executor.run = run_elsewhere
    assert gate("mini", [], 1, executor) == code
    assert text in capsys.readouterr().out


def test_a_run_that_leaves_no_score_fails_the_gate(small, unchanged, capsys):
    publish(small, (4.0, 4.1, 4.2))
    assert gate("mini", [], 1, Puts(B=None)) == 1
    shown = capsys.readouterr()
    assert "B, bits: no score now, 4.10 ± 0.10 before\n" in shown.out
    assert "1 scores, 1 regressed or not compared" in shown.out
    assert shown.err == "dgmbench: B digits s0 failed\n"


def test_rows_that_are_chosen_share_the_level_among_them(mini, unchanged, capsys):
    """Each of two rows at 95 % in all is allowed 97.5 %: 4.303 deviations instead of 2.920."""
    plan = make_plan(mini.spec, 3)
    publish(plan, (4.0, 4.1, 4.2) * 2)
    keep_scale("mini", 3, None)  # more than the two of the specification
    assert gate("mini", [], 1, Puts(A=4.1, B=9.0)) == 1
    shown = capsys.readouterr().out
    assert "A, bits: 4.10 ± 0.10 before (n = 3), 4.10 now (n = 1), allowed 0.497 worse\n" in shown
    assert "B, bits: 4.10 ± 0.10 before (n = 3), 9.00 now (n = 1), allowed 0.497" in shown
    assert "2 scores, 1 regressed" in shown
    unchanged["dirty"] = True
    executor = Puts(A=4.1)
    assert gate("mini", ["A"], 1, executor) == 0
    assert ("run", ["A digits s0"]) in executor.asked
    shown = capsys.readouterr().out
    assert "allowed 0.337 worse" in shown
    assert "1 scores, 0 regressed" in shown


@pytest.mark.parametrize("dirty", [False, True, None])
def test_runs_of_the_same_commit_are_not_done_again(small, unchanged, outputs, dirty):
    publish(small, (4.0, 4.1, 4.2))
    unchanged["dirty"] = dirty
    assert gate("mini", [], 1, Puts(B=4.1)) == 0
    assert len(list((outputs / "gate" / "0123456789ab").glob("*/*/*/record.json"))) == 1
    assert not small.runs[0].run.folder.exists()  # the working space is left as it is
    again = Puts(B=9.0)
    assert gate("mini", [], 1, again) == (dirty is not False)  # a changed tree is another program
    assert (("run", ["B digits s0"]) in again.asked) == (dirty is not False)


def test_a_gate_that_compared_nothing_has_not_passed(small, unchanged, capsys):
    """Published scores that failed are none to compare with."""
    publish(small, (None, None, None))
    assert gate("mini", [], 1, Puts(B=4.1)) == 1
    assert "0 scores, 0 regressed or not compared" in capsys.readouterr().out
