"""docs/extending.md as it stands: its files in a user's folder, its commands beside that."""

import re
import shlex
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.core.paths import ROOT

PAGE = (ROOT / "docs" / "extending.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
FILES = {  # by path, which a comment at the beginning names; Hydra's own comment comes before it
    re.match(r"(?:# @package _global_\n)?# (mine/\S+)\n", text)[1]: text
    for language, text in BLOCKS
    if language in ("python", "yaml")
}
COMMANDS = [
    line for language, text in BLOCKS if language == "bash" for line in text.strip().splitlines()
]


def arguments_of(command):
    """Return what a shell gives the program."""
    program, *words = shlex.split(command)
    assert program == "dgmbench"
    return [
        found
        for word in words
        for found in (map(str, Path().glob(word)) if "*" in word else [word])
    ]


@pytest.mark.trial
def test_the_examples_work_from_a_folder_of_ones_own(outputs, monkeypatch, capsys):
    """No file of the clone is touched; one run of the table has a process of its own."""
    monkeypatch.delenv("DGMBENCH_OUTPUTS")
    for name, text in FILES.items():
        path = Path(name)
        assert path.parts[0] == "mine"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    said = {}
    for command in COMMANDS:
        if command.startswith("export "):
            monkeypatch.setenv(*command.removeprefix("export ").split("=", 1))
            continue
        code = main(arguments_of(command))
        said[command] = capsys.readouterr()
        assert code == 0, (command, said[command])
    for kind, name in (
        ("losses", "squared_hinge"),
        ("penalties", "zero_centred"),
        ("datasets", "two_moons"),
        ("protocols", "mean_gap_1k"),
        ("extractors", "coarse_4x4"),
        ("models", "coupling_flow"),
    ):
        assert f"\n  {name} " in said[f"dgmbench list {kind}"].out
    assert "\n1 runs, " in said["dgmbench table moons --dry-run"].out  # it had no training yet
    published = Path("results/moons/table.csv").read_text().splitlines()
    scores = {line.split(",")[0]: line.split(",")[1:4] for line in published}
    assert [[score != "–" for score in scores[row]] for row in ("NS GAN", "Flow")] == [
        [True, True, False],
        [True, True, True],
    ]


def test_a_loss_is_one_short_file_and_a_config():
    (loss,) = (text for name, text in FILES.items() if "squared_hinge.py" in name)
    assert len(loss.splitlines()) <= 30
