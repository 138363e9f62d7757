"""A folder of images: what becomes of each file, which split it is in, and what the cache is."""

import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.image_folder import ImageFolder
from datamodules.pictures import read_square

SIDE = 4


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, and a cache of its own."""
    monkeypatch.setenv("DGMBENCH_DATA", str(tmp_path / "data"))
    path = tmp_path / "photos"
    path.mkdir()
    return path


def write(folder, names, size=(6, 5)):
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        colour = tuple(int(v) for v in np.random.default_rng(len(name)).integers(20, 250, 3))
        Image.new("RGB", size, colour).save(folder / name)


def data_of(folder, **settings):
    values = {"image_size": SIDE, "channels": 3, "test_fraction": 0.3, "num_classes": None}
    shared = {"name": "photos", "num_levels": 256, "validation_size": 0}
    data = ImageFolder(path=str(folder), **{**values, **shared, **settings})
    data.setup()
    return data


def caches(folder):
    return sorted(folder.parent.glob("data/image_folder/*/*"))


NAMES = [f"{i:02}.png" for i in range(30)]


def test_subfolders_are_classes_and_a_flat_folder_is_one(folder):
    write(folder, NAMES)
    flat = data_of(folder)
    assert (flat.num_classes, flat.shape, flat.left_out) == (1, (3, SIDE, SIDE), None)
    sizes = [len(flat.split(s)[0]) for s in ("train", "test")]
    assert sum(sizes) == 30
    assert min(sizes) > 3
    for name in NAMES:
        (folder / "ab"[int(name[:2]) % 2]).mkdir(exist_ok=True)
        (folder / name).rename(folder / "ab"[int(name[:2]) % 2] / name)
    data = data_of(folder)
    labels = torch.cat([data.split(s)[1] for s in ("train", "test")])
    assert (data.num_classes, labels.bincount().tolist()) == (2, [15, 15])
    with pytest.raises(ValueError, match="num_classes of photos must be 2, its subfolders, got 3"):
        data_of(folder, num_classes=3)


def test_files_that_are_added_move_no_others(folder):
    """The split is by the hash of a path, and so the same wherever the folder lies."""
    write(folder, NAMES)
    before = data_of(folder)
    counts = {s: len(before.split(s)[0]) for s in ("train", "test")}
    write(folder, [f"new{i}.png" for i in range(10)])
    after = data_of(folder)
    for split in counts:  # sorted by name: the new ones come last
        assert torch.equal(after.split(split)[0][: counts[split]], before.split(split)[0])
    moved = folder.rename(folder.parent / "moved")
    assert data_of(moved).found_fingerprint == after.found_fingerprint


def test_the_central_square_is_resized_with_antialiasing(tmp_path):
    pixels = np.zeros((4, 12), np.uint8)
    pixels[:, 4:8:2] = 200  # stripes in the central square, black beside it
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    Image.fromarray(pixels.T).save(tmp_path / "high.png")
    square = Image.fromarray(pixels[:, 4:8]).resize((2, 2), Image.Resampling.BILINEAR)
    found = read_square(tmp_path / "wide.png", 2, 1)
    assert np.array_equal(found[0], np.asarray(square))
    assert 50 < found.min() <= found.max() < 150  # a resize without antialias gives 0 and 200
    assert np.array_equal(read_square(tmp_path / "high.png", 2, 1)[0], found[0].T)
    assert read_square(tmp_path / "wide.png", 2, 3).shape == (3, 2, 2)


def test_rotation_palette_and_transparency(tmp_path):
    upright = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4) * 10)
    exif = Image.Exif()
    exif[0x0112] = 3  # taken upside down
    upright.rotate(180).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_square(tmp_path / "turned.png", 4, 1)[0], np.asarray(upright))
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_square(tmp_path / "clear.png", 4, 3) == 255).all()
    Image.new("RGB", (4, 4), (255, 0, 0)).quantize(2).save(tmp_path / "palette.png")
    assert read_square(tmp_path / "palette.png", 4, 3)[:, 0, 0].tolist() == [255, 0, 0]
    assert read_square(tmp_path / "palette.png", 4, 1)[0, 0, 0] == 76  # .299 of red


def test_what_is_left_out_is_counted_and_named(folder):
    write(folder, NAMES)
    write(folder, [f"small{i}.png" for i in range(5)], size=(9, 3))
    (folder / "torn.jpg").write_bytes(b"\xff\xd8")
    (folder / "notes.txt").write_text("x")
    for _ in range(2):  # read, and from the cache
        data = data_of(folder)
        assert data.left_out == (
            "files of other kinds are left out: 1 .txt; 5 left out (small0.png, small1.png, "
            "small2.png, ...): each must be at least 4 pixels wide and high; "
            "1 left out (torn.jpg): each is no readable image"
        )
        assert sum(len(data.split(s)[0]) for s in ("train", "test")) == 30


def test_the_cache_is_kept_and_made_again_where_it_must(folder, monkeypatch):
    write(folder, NAMES)
    first = data_of(folder)
    assert isinstance(first.load().train, np.memmap)
    [place] = caches(folder)
    with monkeypatch.context() as patch:
        patch.setattr("datamodules.image_folder.read_square", None)  # nothing is read again
        assert data_of(folder).found_fingerprint == first.found_fingerprint
    (place / "train").write_bytes((place / "train").read_bytes()[:-1])  # torn
    assert data_of(folder).found_fingerprint == first.found_fingerprint
    damaged = bytearray((place / "test").read_bytes())
    damaged[0] ^= 1
    (place / "test").write_bytes(damaged)
    assert data_of(folder).found_fingerprint == first.found_fingerprint
    for text in ("", "[]", json.dumps({"labels": 1})):
        (place / "about.json").write_text(text)
        assert data_of(folder).found_fingerprint == first.found_fingerprint
    Image.new("RGB", (6, 5), (1, 2, 3)).save(folder / NAMES[0])  # stale
    os.utime(folder / NAMES[0], (1, 1))
    assert data_of(folder).found_fingerprint != first.found_fingerprint
    assert caches(folder) != [place]
    assert len(caches(folder)) == 1  # the stale one is gone
    data_of(folder, channels=1)
    assert len(caches(folder)) == 2


def test_a_failure_leaves_nothing_behind(folder, monkeypatch):
    write(folder, NAMES)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("datamodules.image_folder.fingerprint_of", full)
    with pytest.raises(ValueError, match="arrays of photos must fit into .*: No space left"):
        data_of(folder)
    assert caches(folder) == []


@pytest.mark.parametrize(
    ("names", "settings", "message"),
    [
        ([], {}, "must hold image files"),
        (["a.png"], {}, "must have images in both splits, got none of 1 in"),
        (NAMES, {"image_size": 9}, "none of 0 in train .* 30 left out .* at least 9 pixels"),
        (["a.png", "A.jpg"], {}, "must hold one file per name, got A.jpg, a.png"),
        (["a.png", "x/b.png"], {}, "either itself or in subfolders, got both"),
        (["train/a.png", "test/b.png"], {}, "must be classes, got test, train"),
        (NAMES, {"test_fraction": 1}, r"test_fraction must be in \(0, 1\), got 1"),
        (NAMES, {"channels": 4}, "channels must be 1 or 3"),
        (NAMES, {"image_shape": [3, 8, 8]}, r"follow from channels and image_size, \(3, 4, 4\)"),
    ],
)
def test_mistakes_are_one_line(folder, names, settings, message):
    write(folder, names)
    with pytest.raises(ValueError, match=message) as error:
        data_of(folder, **settings)
    assert "\n" not in str(error.value)


def test_no_such_folder(tmp_path):
    with pytest.raises(
        ValueError, match="path must be a folder of images, got .*: no such folder"
    ):
        data_of(tmp_path / "nowhere")
