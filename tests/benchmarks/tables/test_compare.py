"""`dgmbench compare`: records beside each other."""

from benchmarks.__main__ import main
from benchmarks.tables.compare import config_changes
from tests.benchmarks.runs.test_changes import record


def test_configs_are_compared_by_key():
    lines = list(config_changes({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}, "d": None}))
    assert lines == ["config a.b: 1 -> 3", "config d: absent -> None"]


def test_compare_takes_files_folders_and_tables(tmp_path, outputs, capsys):
    one, other = tmp_path / "a.json", tmp_path / "b" / "record.json"
    record(1.0, config={"x": 1}).write(one)
    record(1.5, config={"x": 2}).write(other)
    assert main(["compare", str(one), str(other.parent)]) == 0
    shown = capsys.readouterr().out
    assert "1 -> 1.5 (+0.5, 1 pair(s) of seeds)" in shown
    assert "config x: 1 -> 2" in shown
    assert main(["compare", str(one), str(one)]) == 0
    assert "(the same, 1 pair(s)" in capsys.readouterr().out
    assert main(["compare", str(one), "nothing"]) == 2
    assert "must be a record, a run's folder, a folder" in capsys.readouterr().err
    assert main(["compare", str(one), "iwae_table1"]) == 2
    assert "must hold at least one record, got none" in capsys.readouterr().err
