"""One bad record, log or picture is named and left out; tables, pages and status go on."""

import json

import pytest
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.core.errors import leave_out
from benchmarks.runs.record import Record
from tests.benchmarks.tables.helpers import Puts, put


@pytest.fixture(autouse=True)
def _said_anew():
    leave_out.cache_clear()


def changed(path, **values):
    """Write a record as an older version did: without a digest, and with these values."""
    found = json.loads(path.read_text())
    del found["digest"]
    path.write_text(json.dumps(found | values))


EVALUATION = {
    "protocol": "p",
    "fingerprint": "f",
    "checkpoint": "last",
    "weights": "raw",
    "images_seen": 0,
    "metrics": {},
}
DAMAGES = {
    "metrics as a list": (
        lambda path: changed(path, evaluations=[EVALUATION | {"metrics": [1, 2]}]),
        "metrics must map names to numbers or null, got [1, 2]",
    ),
    "evaluations as a number": (
        lambda path: changed(path, evaluations=3),
        "evaluations must be a list, got 3",
    ),
    "cost as a list": (lambda path: changed(path, cost=[1]), "cost must map names to values"),
    "seconds as a text": (
        lambda path: changed(path, cost={"seconds": "x"}),
        "cost.seconds must be a number or null, got 'x'",
    ),
    "no deviations": (lambda path: changed(path, deviations=None), "deviations must be a list of"),
    "counters of texts": (
        lambda path: changed(path, counters={"images_seen": "x"}),
        "counters.images_seen must be an integer, got 'x'",
    ),
    "no UTF-8": (lambda path: path.write_bytes(b"\xff\xfe{"), "codec can't decode"),
    "empty": (lambda path: path.write_text(""), "not a record"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "Is a directory"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_record_is_named_and_left_out(mini, damage, capsys):
    damaging, message = DAMAGES[damage]
    put(mini.runs[0], 1.0)
    put(mini.runs[1], 2.0)
    bad = mini.runs[1].run.record_path
    damaging(bad)
    for call in (["status", "mini"], ["status"]):
        assert main(call) == 0
        shown = capsys.readouterr().out
        assert f"damaged: {bad}" in shown
        assert message in shown
    assert set(mini.records(published=False)) == {mini.runs[0].key}
    said = capsys.readouterr().err
    assert said.startswith(f"dgmbench: left out: {bad}")
    assert message in said
    assert said.count("\n") == 1


def test_no_verb_about_a_table_ends_at_a_bad_record(mini, capsys, monkeypatch, tmp_path):
    for run, value in zip(mini.runs, (1.0, 2.0), strict=False):
        put(run, value)
    bad = mini.runs[1].run.record_path
    changed(bad, cost=[1])
    for call in (["report", "mini"], ["table", "mini", "--dry-run"], ["prune", "mini"]):
        leave_out.cache_clear()
        assert main(call) == 0
        said = capsys.readouterr().err
        assert said.startswith(f"dgmbench: left out: {bad}: not a record: cost must map ")
        assert said.count("\n") == 1
    monkeypatch.setattr(
        "benchmarks.execution.local.LocalExecutor", lambda *_: Puts(A=1.0, B=2.0, C=None)
    )
    assert main(["table", "mini", "--rows", "A", "--jobs", "1"]) == 0  # it is done again
    assert "| A | 1.00 ± 0.00 | 2 |" in (tmp_path / "outputs/tables/mini/table.md").read_text()


def test_a_cost_of_which_little_is_known_is_no_fault(mini):
    record = put(mini.runs[0], 1.0)
    record.cost = {"seconds": 3.0}
    record.write(mini.runs[0].run.record_path)
    assert Record.from_json(mini.runs[0].run.record_path.read_text()).cost == {"seconds": 3.0}
    assert main(["report", "mini"]) == 0


@pytest.mark.parametrize(
    "content", [b"not a picture", b"", b"\x89PNG\r\n\x1a\n cut", "cut in the middle"]
)
def test_a_bad_picture_is_named_and_left_out(mini, content, outputs, capsys):
    put(mini.runs[0], 1.0)
    grid = mini.runs[0].run.samples / "640.png"
    grid.parent.mkdir()
    Image.effect_noise((64, 64), 50).save(grid)
    grid.write_bytes(grid.read_bytes()[:500] if isinstance(content, str) else content)
    (grid.parent / "1x.png").touch()  # of somebody else
    assert main(["report", "mini"]) == 0
    said = capsys.readouterr().err
    assert said.startswith(f"dgmbench: left out: {grid}: ")
    assert said.count("\n") == 1
    assert "data:image/png" not in (outputs / "report.html").read_text()


GARBAGE = {
    "text": b"640,train/loss,x\r\n",
    "no columns": b"hello\r\n",
    "no text": b"\xff\xfe\x00\x01\r\n",
    "cut": b"12,tra",
    "a huge number": b"9" * 5000 + b",train/loss,1\r\n",
    "an open quote": b'1,"train/loss,1\r\n',
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_bad_line_of_a_log_is_named_and_left_out(mini, garbage, outputs, capsys):
    put(mini.runs[0], 1.0)
    log = mini.runs[0].run.logs / "metrics.csv"
    log.parent.mkdir()
    good = b"images_seen,name,value\r\n64,train/loss,2.0\r\n", b"128,train/loss,1.0\r\n"
    log.write_bytes(good[0] + GARBAGE[garbage])
    log.write_bytes(good[0] + good[1] + GARBAGE[garbage])
    assert main(["report", "mini"]) == 0
    said = capsys.readouterr().err
    assert said == f"dgmbench: left out: 1 line(s) of {log}, which are none of a log\n"
    assert '<path d="M5.0,15.0 L295.0,95.0"' in (outputs / "report.html").read_text()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"rules": 1, "since": "x"}]', "["])
def test_a_bad_note_of_rules_is_evidence_and_stops_the_table(mini, text, outputs, capsys):
    folder = outputs / "tables/mini"
    folder.mkdir(parents=True)
    (folder / "rules.json").write_text(text)
    put(mini.runs[0], 1.0)
    code = main(["table", "mini", "--rows", "A", "--seeds", "1", "--jobs", "1"])
    said = capsys.readouterr().err
    assert (code, said) == (
        2,
        f"dgmbench: {folder}/rules.json must be a list of rules, each with its date\n",
    )


@pytest.mark.parametrize(
    "text", ["[]", "3", '{"images_seen": "x", "budget_images": 1, "seconds_left": null}']
)
def test_bad_progress_is_none(mini, text):
    put(mini.runs[0], status="interrupted")
    mini.runs[0].run.progress_path.write_text(text)
    assert mini.runs[0].run.progress() == (0.0, None)
    assert main(["status", "mini"]) == 0


def test_an_unknown_metric_is_refused_by_whatever_shows_the_table(mini, own_configs, capsys):
    path = own_configs / "table/mini.yaml"
    path.write_text(path.read_text().replace("metric: bits_per_dim", "metric: bits_per_dimm"))
    for call in (["report", "mini"], ["publish", "mini"], ["table", "mini", "--jobs", "1"]):
        assert main(call) == 2
        said = capsys.readouterr().err
        assert "has no metric 'bits_per_dimm'; did you mean bits_per_dim?" in said
