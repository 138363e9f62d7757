"""What docs/own_images.md and docs/python.md show runs as it stands, on small images."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.spec import load_spec

DOCS = Path(__file__).parents[1] / "docs"
SMALLER = {"64000": "640", "seeds: 3": "seeds: 1", "max_steps=1000": "max_steps=2"}


def draw(folder, count, side):
    Path(folder).mkdir()
    rng = np.random.default_rng(count)
    for i in range(count):
        image = np.full((side, side, 3), rng.integers(0, 256, 3), np.uint8)
        image[side // 4 : side // 2, side // 4 : side // 2] = rng.integers(0, 256, 3)
        Image.fromarray(image).save(Path(folder) / f"{i:03}.png")


def blocks(page, language, replaced):
    """Return the fenced blocks of a language, with numbers for a test in place of a reader's."""
    text = (DOCS / page).read_text()
    for old, new in replaced.items():
        text = text.replace(old, new)
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [body for kind, body in found if kind == language]


@pytest.fixture
def photos(outputs, monkeypatch, tmp_path):
    """The folders that the pages speak of, and neither caches nor weights."""
    monkeypatch.setenv("DGMBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DGMBENCH_PATH", "")
    for folder, count, side in (
        ("photos", 400, 33),
        ("theirs", 70, 28),
        ("mine_resized", 66, 28),
        ("my_32x32_photos", 100, 32),
    ):
        draw(folder, count, side)


def test_every_command_and_snippet_runs(photos, outputs, monkeypatch, capsys):
    commands = "".join(blocks("own_images.md", "", SMALLER)).splitlines()
    assert main(shlex.split(commands[0])[1:]) == 0  # the first trains
    shown = capsys.readouterr()
    [name] = re.findall(r"will be scored under (\w+) ", shown.err)
    assert f"  {name} [last, raw]: fd_lenet " in shown.out
    [folder] = (outputs / "lucic2018_ns_gan_quick" / "photos").iterdir()
    assert (folder / "samples" / "640.png").exists()
    mine = {**SMALLER, "/RUN": f"/{folder.name}", "fd_lenet_rgb28_400_test400": name}
    for text in blocks("own_images.md", "yaml", mine):
        file = Path(text.splitlines()[0].removeprefix("# "))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.split("\n", 1)[1])
    for command in "".join(blocks("own_images.md", "", mine)).splitlines():
        word, *arguments = shlex.split(command)
        if word == "export":
            monkeypatch.setenv(*arguments[0].split("="))
            for run in make_plan(load_spec("photos")).runs:  # as the table does, in one process
                assert main(run.command([])) == 0
        else:
            assert main(arguments) == 0, command
        shown = capsys.readouterr().out
    for row in ("NS GAN", "VAE", "real training images"):
        assert re.search(rf"{row} +\d+\.\d", shown)
    for code in blocks("python.md", "python", mine):
        exec(code, {})
    shown = capsys.readouterr().out
    assert "fd_lenet_grey28_200_test100: {'fd_lenet': " in shown
    assert "128 (64, 3, 32, 32)" in shown  # two steps of 64 images, and samples
