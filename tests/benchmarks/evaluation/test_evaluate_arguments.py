"""What `evaluate` takes for a run's folder, and what for a setting."""

import pytest

from benchmarks.__main__ import main
from benchmarks.commands.settings import is_path
from benchmarks.runs.folder import Run
from benchmarks.training.train import train
from tests.helpers import tiny_run


def test_a_folder_may_have_an_equals_sign(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DGMBENCH_OUTPUTS", "lr=0.1")
    composed = tiny_run("toy/ns_gan")
    train(composed, bar=False)
    folder = Run.of(composed).folder
    assert str(folder).startswith("lr=0.1/")
    assert main(["evaluate", str(folder), "protocol=modes_2500"]) == 0
    assert "modes_2500 [last, raw]: modes " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argument", "is_one"),
    [
        ("x", True),
        ("a/b=c", True),
        ("here=1", True),  # it exists
        ("protocol=x", False),  # also where such a folder exists
        ("protokol=x", False),
        ("images=a/b", False),
        ("images=a=b", False),
    ],
)
def test_a_setting_and_a_path_are_told_apart(argument, is_one, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("here=1", "protocol=x"):
        (tmp_path / name).mkdir()
    assert is_path(argument, ("protocol", "images")) == is_one
