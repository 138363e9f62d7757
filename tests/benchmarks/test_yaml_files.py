"""YAML that would never end, or refers to itself, is one line at once."""

import pytest

from benchmarks.__main__ import main
from benchmarks.yaml_files import read_yaml

INHERITS = "# @package _global_\ndefaults:\n  - {}\n  - _self_\n"
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
        ({"own": INHERITS.format("toy_ns_gan") + BOMB}, "own.yaml must have at most 100000"),
        ({"own": INHERITS.format("toy_ns_gan") + "model: &m {a: *m}\n"}, "own.yaml refers to"),
        (
            {"own": INHERITS.format("toy_ns_gan") + "method: ${paper}\npaper: ${method}\n"},
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
    assert main(["train", "experiment=toy_ns_gan", override]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
