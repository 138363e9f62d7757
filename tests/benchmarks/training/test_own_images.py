"""Training on a folder of images ends with a score, or says what is missing."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.runs.record import read_record

RUN = ("train", "--no-bar", "datamodule=image_folder", "datamodule.path=photos", "images_seen=16")
GAN = ("experiment=lucic2018/ns_gan_quick", "model.batch_size=8")
AUTOENCODER = "experiment=vincent2010/autoencoder_quick"
GREY = ("datamodule.channels=1", "datamodule.image_size=8")


@pytest.fixture
def photos(outputs, monkeypatch, tmp_path):
    """A hundred grey squares of 9 pixels; neither caches nor weights."""
    monkeypatch.setenv("DGMBENCH_DATA", str(tmp_path / "data"))
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, image in enumerate(np.random.default_rng(0).integers(0, 256, (100, 9, 9), np.uint8)):
        Image.fromarray(image).save(folder / f"{i:03}.png")
    return folder


def records(outputs):
    return [read_record(path) for path in sorted(outputs.rglob("record.json"))]


def test_a_run_ends_with_a_score_and_goes_on_with_its_own_images_only(photos, outputs, capsys):
    command = [*RUN, *GAN, *GREY, "datamodule.test_fraction=0.7"]
    (photos / "torn.png").write_bytes(b"x")
    assert main(command) == 0
    first = capsys.readouterr()
    assert "dgmbench: photos: 1 left out (torn.png): each is no readable image\n" in first.err
    assert "dgmbench: photos: will be scored under fd_lenet_grey28_" in first.err
    [record] = records(outputs)
    assert [e.checkpoint for e in record.evaluations] == ["last"]
    assert record.evaluations[0].protocol in first.out
    assert main(command) == 0
    assert "finished before; nothing to do" in capsys.readouterr().out
    photos.rename(photos.with_name("elsewhere"))
    moved = [c.replace("photos", "elsewhere") for c in command]
    assert main([*moved, "datamodule.name=photos"]) == 0  # the images tell, not where they lie
    assert "finished before; nothing to do" in capsys.readouterr().out
    Image.new("L", (9, 9)).save(photos.with_name("elsewhere") / "new.png")
    assert main([*moved, "datamodule.name=photos"]) == 2
    assert "(other data need another datamodule.name)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            GAN,
            "no score at the end (not fid_26_test26: Frechet distance needs more than 2048",
        ),
        ([AUTOENCODER, "model.batch_size=8"], "(Autoencoder draws no samples; protocols="),
        ([*GAN, "protocols=[]"], None),
    ],
)
def test_what_is_missing_is_said(photos, outputs, capsys, settings, line):
    assert main([*RUN, *settings, *GREY]) == 0
    told = capsys.readouterr().err
    assert line in told if line else "score" not in told
    assert [r.evaluations for r in records(outputs)] == [[]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["model.batch_size=90", "images_seen=90"], "batch_size must be <= 74, the number of"),
        (
            ["datamodule.image_size=6"],
            "must have H and W divisible by 4, got [1, 6, 6]",
        ),
        (["datamodule.image_size=0"], "image_size an integer >= 1, got 1 and 0"),
        (["datamodule.path=nowhere"], "path must be a folder of images, got nowhere"),
        (["datamodule.image_size=12"], "100 left out (000.png, 001.png, 002.png, ...): each must"),
    ],
)
def test_mistakes_are_one_line_before_anything_is_trained(
    photos, outputs, capsys, settings, message
):
    assert main([*RUN, *GAN, *GREY, *settings]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.splitlines()[-1].startswith("dgmbench: ")
    assert "Traceback" not in told
