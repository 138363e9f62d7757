"""`dgmbench publish`: records are merged, and none is dropped."""

import json

import pytest

from benchmarks.core.errors import UserError
from benchmarks.runs.record import Evaluation
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.publish import publish
from benchmarks.tables.spec import load_spec
from tests.benchmarks.tables.helpers import cells, put


def test_publish_merges_and_drops_nothing(mini, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# x\n<!-- table: mini -->\nold\n<!-- end of table: mini -->\nend\n")
    a0, a1, b0, _ = mini.runs
    put(a0, 1.0)
    put(b0, status="interrupted")
    assert publish("mini") == 0
    folder = tmp_path / "results" / "mini"
    assert len(list(folder.glob("records/*.json"))) == 1  # an interrupted run is no result
    assert "| A | 1.00 | 1 |" in readme.read_text()
    assert readme.read_text().endswith("<!-- end of table: mini -->\nend\n")

    a0.run.record_path.unlink()  # another machine: only the second seed is here
    put(a1, 3.0)
    publish("mini")
    assert len(list(folder.glob("records/*.json"))) == 2
    assert "| A | 2.00 ± 1.41 | 2 |" in (folder / "table.md").read_text()
    assert (folder / "table.csv").exists()

    before = readme.read_text(), {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    publish("mini")  # again: the same bytes
    assert before == (
        readme.read_text(),
        {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()},
    )


def test_a_worse_local_record_replaces_nothing(mini, tmp_path):
    put(mini.runs[0], 1.0)
    publish("mini")
    (path,) = (tmp_path / "results/mini/records").glob("*.json")
    for status in ("failed", "interrupted", "diverged"):
        put(mini.runs[0], status=status)
        publish("mini")
        assert json.loads(path.read_text())["status"] == "finished"
        assert cells(mini, published=True)["A"][0] == "1.00"


def test_published_records_count_as_done_only_when_asked(mini):
    put(mini.runs[0], 1.0)
    publish("mini")
    mini.runs[0].run.record_path.unlink()
    assert cells(mini)["A"][0] == "–"
    assert cells(mini, published=True)["A"][0] == "1.00"


def test_publish_keeps_evaluations_of_other_protocols(mini, tmp_path):
    record = put(mini.runs[0], 1.0)
    record.add(Evaluation("other", "ff", "last", "raw", 64, {"x": 1.0}))
    record.write(mini.runs[0].run.record_path)
    publish("mini")
    put(mini.runs[0], 1.25)
    publish("mini")
    (path,) = (tmp_path / "results/mini/records").glob("*.json")
    values = {e["protocol"]: e["metrics"] for e in json.loads(path.read_text())["evaluations"]}
    assert values == {"other": {"x": 1.0}, "bits_per_dim_test": {"bits_per_dim": 1.25}}


def test_stale_records_are_kept_and_named(mini, tmp_path, capsys):
    put(mini.runs[0], 1.0)
    publish("mini")
    (path,) = (tmp_path / "results/mini/records").glob("*.json")
    old = path.with_name(path.name.replace("-r1-", "-r0-"))
    old.write_text(path.read_text())
    publish("mini")
    assert old.exists()
    assert f"stale: {old.name}" in capsys.readouterr().out


def test_nothing_to_publish(mini):
    with pytest.raises(UserError, match="no ended run to publish; run: dgmbench table mini"):
        publish("mini")


def test_the_scale_of_a_published_table_is_kept(mini, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for run in make_plan(load_spec("mini"), 3).runs:
        put(run)
    publish("mini", seeds=3)
    publish("mini")  # as before
    assert len(list((tmp_path / "results/mini/records").glob("*.json"))) == 6
    assert "| 3 | 0 |" in (tmp_path / "results/mini/table.md").read_text()
