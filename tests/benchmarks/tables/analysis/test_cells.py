"""A cell says what happened."""

import dataclasses

import pytest

from benchmarks.core.errors import UserError
from benchmarks.runs.record import Evaluation
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.plan.planned_run import fingerprint_of
from benchmarks.tables.rendering.render import render
from tests.benchmarks.tables.helpers import cells, put


def test_rows_not_for_a_data_set_are_a_dash(mini):
    assert cells(mini)["C"][0] == "–"
    assert [r.row.label for r in mini.runs] == ["A", "A", "B", "B"]


def test_mean_deviation_n_and_cost(mini):
    a0, a1, b0, _ = mini.runs
    put(a0, 1.0)
    put(a1, 2.0)
    put(b0, 4.0)
    found = cells(mini)
    assert found["A"] == ("1.50 ± 0.71", "2", "0", "640", "0.001", "20", "2.0")
    assert found["B"] == ("4.00", "1", "0", "640", "0.001", "20", "2.0")


def test_a_diverged_run_keeps_its_row_with_its_reason(mini):
    a0, a1, b0, b1 = mini.runs
    put(a0, 1.0)
    put(a1, status="diverged")
    put(b0, status="diverged")
    put(b1, status="diverged")
    found = cells(mini)
    assert found["A"][:3] == ("1.00 (1 failed)", "1", "1")
    assert found["B"][:3] == ("failed", "0", "2")
    notes = render(mini, mini.records(False)).notes
    assert "A digits s1: diverged: why." in notes


def test_a_score_that_is_not_finite_is_a_failure(mini):
    put(mini.runs[0], None)
    assert cells(mini)["A"][:3] == ("failed", "0", "1")


def test_a_failed_run_that_was_scored_is_a_failure(mini):
    record = put(mini.runs[0], 1.0)
    record.status, record.reason = "failed", "the second protocol"
    record.write(mini.runs[0].run.record_path)
    assert cells(mini)["A"][:3] == ("failed", "0", "1")


def test_a_trained_run_without_a_score_is_missing_not_failed(mini):
    record = put(mini.runs[0])
    record.evaluations = []
    record.write(mini.runs[0].run.record_path)
    assert cells(mini)["A"][:3] == ("–", "0", "0")


def test_cells_of_fewer_runs_than_their_row_say_so(mini):
    other = dataclasses.replace(mini.spec.columns[0], label="other", protocol="nll_test_k100")
    plan = make_plan(dataclasses.replace(mini.spec, columns=(*mini.spec.columns, other)), 2)
    put(plan.runs[0], 1.0)
    record = put(plan.runs[1], 2.0)
    more = dataclasses.replace(
        record.evaluations[0],
        protocol="nll_test_k100",
        fingerprint=fingerprint_of("nll_test_k100"),
    )
    record.add(more)
    record.write(plan.runs[1].run.record_path)
    assert cells(plan)["A"][:4] == ("1.50 ± 0.71", "2.00 (n = 1)", "1–2", "0")


def test_mixed_fingerprints_are_refused_and_both_shown(mini):
    put(mini.runs[0], fingerprint="0123456789abcdef")
    wanted = mini.runs[0].fingerprints[0][:12]
    with pytest.raises(UserError, match=f"mixes protocols .*{wanted} wanted, 0123456789ab in"):
        render(mini, mini.records(False))


def test_a_column_holds_one_kind_of_likelihood(mini):
    put(mini.runs[0])
    conditional = {"likelihood": "exact", "given": "label"}
    put(mini.runs[2], attributes=conditional)
    with pytest.raises(UserError, match=r"'bits' mixes p\(x\) \(A\), p\(x\) given label \(B\)"):
        render(mini, mini.records(False))


def test_the_rows_weights_are_shown_and_others_are_not(mini):
    planned = mini.runs[0]
    record = put(planned, 1.0)
    metrics = {"bits_per_dim": 9.0}
    ema = Evaluation(planned.protocols[0], planned.fingerprints[0], "last", "ema", 64, metrics)
    record.evaluations = [ema, *record.evaluations]
    record.write(planned.run.record_path)
    assert cells(mini)["A"][0] == "1.00"
    shown = dataclasses.replace(planned, weights="ema")
    plan = dataclasses.replace(mini, runs=(shown, *mini.runs[1:]))
    table = render(plan, plan.records(False))
    assert table.lines[0][1] == "9.00"
    assert any("weights ema" in note for note in table.notes)
