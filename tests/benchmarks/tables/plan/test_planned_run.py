"""One run of a table: its command, whether it is done, and the snapshot it shows."""

import pytest

from benchmarks.runs.record import Evaluation, Record
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.rendering.render import render
from benchmarks.tables.spec import load_spec
from tests.benchmarks.tables.helpers import cells, put, score


def test_commands_name_the_planned_run(mini):
    command = mini.runs[1].command(["trainer=cpu"])
    assert command == [
        "train",
        "--no-bar",
        "experiment=oord2016/pixelcnn_quick",
        "datamodule=digits",
        "seed=1",
        "protocols=[bits_per_dim_test]",
        "trainer=cpu",
    ]


def test_what_is_left_to_do(mini):
    a0, a1, b0, b1 = mini.runs
    put(a0)
    put(a1, status="diverged")
    put(b0, status="failed")
    put(b1, status="interrupted")
    records = mini.records(False)
    done = [r.is_done(records.get(r.key)) for r in mini.runs]
    assert done == [True, True, True, False]
    again = [r.is_done(records.get(r.key), ("failed",)) for r in mini.runs]
    assert again == [True, True, False, False]
    assert not mini.runs[1].is_done(records[a1.key], ("diverged",))


@pytest.mark.parametrize("selecting", [None], indirect=True)
def test_the_best_snapshot_on_test_as_in_the_paper(selecting):
    planned = selecting.runs[0]
    first, second, third = map(str, planned.snapshots)
    assert "snapshot_protocols=[bits_per_dim_test]" in planned.command([])
    record = put(planned, 1.0)  # the last checkpoint is better, and is not shown
    for checkpoint, value in ((first, 4.0), (second, 2.0), ("640", 0.5)):  # 640: by hand
        score(planned, record, checkpoint, value)
    assert not planned.is_done(record)
    assert cells(selecting)["A"][0] == "–"  # one snapshot is not scored yet
    score(planned, record, third, 3.0)
    assert planned.is_done(record)
    assert cells(selecting)["A"][0] == "2.00"
    table = render(selecting, selecting.records(False))
    assert any("best on the very test images" in note for note in table.notes)


@pytest.mark.parametrize("selecting", ["fid_10k_validation10k"], indirect=True)
def test_the_best_snapshot_on_validation(selecting):
    planned = selecting.runs[0]
    record = put(planned, 9.0)
    first, second, third = map(str, planned.snapshots)
    for checkpoint, value, selector in ((first, 4.0, 3.0), (second, 2.0, 5.0), (third, 7.0, None)):
        score(planned, record, checkpoint, value)
        score(planned, record, checkpoint, selector, planned.selected_by)
    assert planned.is_done(record)
    assert cells(selecting)["A"][0] == "4.00"
    table = render(selecting, selecting.records(False))
    assert any(
        "best on validation images, by `fid_10k_validation10k" in note for note in table.notes
    )


@pytest.mark.parametrize("selecting", [None], indirect=True)
def test_a_run_whose_snapshots_are_all_bad_is_a_failure(selecting):
    planned = selecting.runs[0]
    record = put(planned, 1.0)
    for checkpoint in map(str, planned.snapshots):
        score(planned, record, checkpoint, None)
    assert cells(selecting)["A"][:3] == ("failed", "0", "1")


@pytest.mark.parametrize(("draws", "is_done"), [(0, False), (4, False), (5, True)])
def test_images_are_done_by_as_many_draws_as_their_row_asks_for(outputs, draws, is_done):
    (planned,) = make_plan(load_spec("naeem2020_gaussian")).runs
    (name,), (mark,) = planned.protocols, planned.fingerprints
    assert "draws=5" in planned.command([])
    kept = {"precision": [0.5] * draws} if draws else {}
    found = Evaluation(name, mark, "images", "raw", 0, {"precision": 0.5}, draws=kept)
    record = Record(*planned.key, 0, "finished", evaluations=[found])
    assert planned.is_done(record) == is_done
    assert planned.evaluation(record, name) == found  # shown all the same
