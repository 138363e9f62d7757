"""YAML that would never end, or refers to itself, is one line at once."""

import os

import pytest
import yaml

from benchmarks.__main__ import main
from benchmarks.config.yaml_files import read_yaml

INHERITS = "# @package _global_\ndefaults:\n  - /experiment/{}\n  - _self_\n"
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "x.yaml must have at most 100000 values, its aliases written out, got 1234567909"),
        ("a: &a [*a]\n", "x.yaml refers to itself by an alias"),
        ("a: &a {b: {c: *a}}\n", "x.yaml refers to itself by an alias"),
        ("[" * 5000, "x.yaml is nested too deeply"),
        ("a: [", "x.yaml is no YAML"),
        ("a: !!python/object/apply:os.system [ls]\n", "could not determine a constructor"),
        ("a: *b\n", "x.yaml is no YAML"),
    ],
    ids=["bomb", "self", "deeper", "nested", "torn", "python", "unknown alias"],
)
def test_what_is_refused(tmp_path, text, message, capsys):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    if message.startswith("x.yaml"):
        with pytest.raises(ValueError, match=message):
            read_yaml(path)
    for verb in (["table", str(path), "--dry-run"], ["table", "quick", "--launcher", str(path)]):
        assert main(verb) == 2
        error = capsys.readouterr().err
        assert len(error.strip().splitlines()) == 1
        assert message in error


def test_aliases_are_welcome(tmp_path):
    (tmp_path / "x.yaml").write_text("a: &a {b: 1}\nc: [*a, *a]\n")
    assert read_yaml(tmp_path / "x.yaml") == {"a": {"b": 1}, "c": [{"b": 1}, {"b": 1}]}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"own": INHERITS.format("own")}, "experiment own: its defaults lead back to it"),
        (
            {"own": INHERITS.format("other"), "other": INHERITS.format("own")},
            "experiment own: its defaults lead back to it",
        ),
        ({"own": INHERITS.format("toy/ns_gan") + BOMB}, "own.yaml must have at most 100000"),
        ({"own": INHERITS.format("toy/ns_gan") + "model: &m {a: *m}\n"}, "own.yaml refers to"),
        (
            {"own": INHERITS.format("toy/ns_gan") + "method: ${paper}\npaper: ${method}\n"},
            "Recursive interpolation",
        ),
    ],
    ids=["itself", "each other", "bomb", "alias", "interpolation"],
)
def test_configs_of_the_users_own(outputs, tmp_path, capsys, files, message):
    (tmp_path / "experiment").mkdir()
    for name, text in files.items():
        (tmp_path / "experiment" / f"{name}.yaml").write_text(text)
    assert main(["train", "experiment=own", "--config-dir", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    assert message in error


@pytest.mark.parametrize(
    "override",
    ["images_seen=${images_seen}", "model.batch_size=${model.batch_size}", "model=${model}"],
)
def test_overrides_that_refer_to_themselves(outputs, capsys, override):
    assert main(["train", "experiment=toy/ns_gan", override]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "defaults: 5",
        "defaults: [5]",
        "defaults: [null]",
        "defaults: [{override /model: [1, 2]}]",
        INHERITS.format("toy/ns_gan") + "per_dataset: {gaussian_ring: 5}",
        INHERITS.format("toy/ns_gan") + "per_dataset: 5",
        INHERITS.format("toy/ns_gan") + "model: 5",
        INHERITS.format("toy/ns_gan") + "trainer: 5",
        INHERITS.format("toy/ns_gan") + "trainer: null",
        INHERITS.format("toy/ns_gan") + "datamodule: 5",
        "5",
        "",
    ],
)
def test_experiments_that_hold_other_things_are_one_line(outputs, tmp_path, capsys, text):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "own.yaml").write_text(text)
    assert main(["train", "experiment=own", "--config-dir", str(tmp_path), "--trial"]) == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "override",
    [
        "experiment=null",
        "experiment=[toy/ns_gan,toy/wgan]",
        "datamodule=null",
        "model=null",
        "model=5",
        "trainer=null",
        "logger=null",
        "~trainer",
        "~seed",
        "~model._target_",
        "model.generator.optimizer.lr=nan",
        "threads=100000000000",
        "seed=1" + "0" * 400,
        "revision=1" + "0" * 400,
    ],
)
def test_overrides_that_leave_no_config_are_one_line(outputs, capsys, override):
    assert main(["train", "experiment=toy/ns_gan", override, "--no-bar"]) == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    assert len(error) < 400


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("protocol: 5", "columns[0].protocol must be a text, got 5"),
        ("dataset: [1]", "columns[0].dataset must be a text"),
        ("metric: 5", "columns[0].metric must be a text, got 5"),
        ("experiment: 5", "rows[0].experiment must be a text or null, got 5"),
        ("images: /etc", "rows[0].images must be one of train, validation, test or null"),
        ("title: [a]", "title must be a text"),
        ("seeds: true", "seeds must be an integer in 1 .. 10000, got True"),
        ("seeds: 100000000", "seeds must be an integer in 1 .. 10000, got 100000000"),
    ],
)
def test_tables_that_hold_other_things_are_one_line(tmp_path, capsys, change, message):
    key = change.split(":")[0]
    column = {"label": "c", "dataset": "gaussian_ring", "protocol": "modes_2500"}
    column |= {"metric": "modes", "better": "higher", "digits": 1}
    values = {"title": "t", "note": "", "seeds": 1, "columns": [column]}
    values["rows"] = [{"label": "r", "experiment": "toy/ns_gan"}]
    value = yaml.safe_load(change)[key]
    if key in column:
        column[key] = value
    elif key in ("experiment", "images"):
        values["rows"] = [{"label": "r", key: value}]
    else:
        values[key] = value
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(values))
    assert main(["table", str(path), "--dry-run"]) == 2
    assert f"table own: {message}" in capsys.readouterr().err


def test_files_that_would_keep_a_reader_waiting(outputs, tmp_path, capsys):
    os.mkfifo(tmp_path / "a.yaml")
    assert main(["train", "experiment=toy/ns_gan", "--config-dir", str(tmp_path)]) == 2
    assert "a.yaml must be a file" in capsys.readouterr().err
    assert main(["train", "experiment=toy/ns_gan", "--config-dir", str(tmp_path / "none")]) == 2
    assert "--config-dir must be a folder" in capsys.readouterr().err
    (tmp_path / "flat.yaml").write_text(f"a: [{'x, ' * 2_000_000}x]")
    assert main(["table", str(tmp_path / "flat.yaml"), "--dry-run"]) == 2
    assert "flat.yaml must have at most 1000000 bytes" in capsys.readouterr().err


MISTAKES = {
    "syntax": ("a: [1\n", "mine.yaml is no YAML"),
    "a key twice": (INHERITS.format("toy/ns_gan") + "seed: 1\nseed: 2\n", "duplicate key seed"),
    "a tag of Python": (INHERITS.format("toy/ns_gan") + "seed: !!python/tuple [1]\n", "the tag"),
    "a tag": (INHERITS.format("toy/ns_gan") + "seed: !mine 1\n", "the tag '!mine'"),
    "a list": ("[1, 2]\n", "mine.yaml must map keys to values, got a list"),
    "one value": ("5\n", "mine.yaml"),
    "no UTF-8": (b"method: \xff\n", "mine.yaml is no YAML"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_a_folder_of_ones_own_name_the_file(mistake, outputs, tmp_path, capsys):
    text, message = MISTAKES[mistake]
    path = tmp_path / "own/experiment/mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    for name in ("mine", "toy/ns_gan"):  # also where another one is asked for
        call = ["train", "--config-dir", str(tmp_path / "own"), f"experiment={name}", "--trial"]
        assert main(call) == 2
        error = capsys.readouterr().err
        assert len(error.strip().splitlines()) == 1
        assert "mine.yaml" in error
        assert message in error


@pytest.mark.parametrize("verb", [["status"], ["list", "tables"], ["logs", "x"]])
def test_a_folder_that_does_not_exist_is_refused_by_every_verb(
    verb, outputs, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("DGMBENCH_PATH", str(tmp_path / "none"))
    assert main(verb) == 2
    assert capsys.readouterr().err == (
        f"dgmbench: DGMBENCH_PATH must be a folder, got {tmp_path / 'none'}\n"
    )
