"""Names that become paths, wherever they come from."""

import json

import pytest

from benchmarks.__main__ import main
from benchmarks.runs.record import Record, read_record
from datamodules.root import checked_name

BAD = [
    "../../../outside",
    "org/set",
    "",
    ".",
    "..",
    ".hidden",
    "-option",
    "two\nlines",
    "name\n",
    "with space",
    "/absolute",
    "back\\slash",
    "nul\0",
    "x" * 101,
    "~",
    "$HOME",
    7,
    None,
]


@pytest.mark.parametrize("name", BAD)
def test_names_that_would_be_other_paths(name):
    with pytest.raises(ValueError, match=r"^a.name must be 1 to 100 letters"):
        checked_name(name, "a.name")


@pytest.mark.parametrize("name", ["mnist", "a", "_x", "CIFAR-10", "v1.2+b", "x" * 100])
def test_names_that_are(name):
    assert checked_name(name, "name") == name


@pytest.mark.parametrize(
    "name", ["../../../outside", "org/set", "''", ".", "'two\\nlines'", "'-rf'"]
)
def test_a_data_set_of_such_a_name_writes_nothing(outputs, tmp_path, capsys, name):
    before = sorted(tmp_path.rglob("*"))
    assert main(["train", "experiment=toy/ns_gan", f"datamodule.name={name}"]) == 2
    assert "datamodule.name must be 1 to 100 letters" in capsys.readouterr().err
    images = ["evaluate", "images=test", "datamodule=synthetic", "protocol=fd_lenet_2k_test2k"]
    assert main([*images, f"datamodule.name={name}"]) == 2
    assert "name must be 1 to 100 letters" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("key", ["experiment", "dataset", "run_id"])
def test_a_record_of_such_a_name_is_none(tmp_path, key):
    values = json.loads(Record("e", "d", "r", 0, "finished").to_json())
    del values["digest"]
    path = tmp_path / "record.json"
    path.write_text(json.dumps(values))
    assert read_record(path).run_id == "r"
    path.write_text(json.dumps({**values, key: "../x"}))
    with pytest.raises(ValueError, match=f"not a record: {key} must be 1 to 100 letters"):
        read_record(path)


def test_a_table_of_such_a_name(tmp_path, capsys):
    (tmp_path / "my table.yaml").write_text("rows: []")
    assert main(["table", str(tmp_path / "my table.yaml"), "--dry-run"]) == 2
    assert "the name of a table must be" in capsys.readouterr().err
