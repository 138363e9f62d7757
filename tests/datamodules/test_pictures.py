"""Image files: what Pillow would cut, convert or leave out is refused or named."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from datamodules.pictures import find_pictures, read_picture, read_pictures


def grey(value=200, size=(4, 4)):
    return Image.fromarray(np.full(size, value, np.uint8))


def deep_png(path, colour):
    """A PNG of 16 bits per channel, which Pillow does not write in RGB."""
    channels = 3 if colour == 2 else 1

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + b"\x12\x34" * 4 * channels for _ in range(4))
    header = struct.pack(">IIBBBBB", 4, 4, 16, colour, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp", "tif", "TIFF"])
def test_images_of_every_kind_of_file(tmp_path, suffix):
    for name, image in (("grey", grey()), ("rgb", grey().convert("RGB"))):
        image.save(tmp_path / f"{name}.{suffix}", lossless=True)
        found = read_picture(tmp_path / f"{name}.{suffix}")
        if suffix == "webp":  # it stores grey as RGB
            assert found.shape == (4, 4, 3)
        else:
            assert found.shape == ((4, 4) if name == "grey" else (4, 4, 3))
        assert (found == 200).all()


@pytest.mark.parametrize("side", [16, 32, 56, 64, 160])
@pytest.mark.parametrize("suffix", ["bmp", "tif"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_sizes_and_offsets_are_no_bits(tmp_path, side, suffix, mode):
    """A stride of 168 bytes, or strips at 4,164, do not make 16 bits per channel."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side), np.uint8))
    path = tmp_path / f"x.{suffix}"
    image.convert(mode).save(path, **({"compression": "tiff_lzw"} if suffix == "tif" else {}))
    assert np.array_equal(read_picture(path), np.asarray(image.convert(mode)))


def test_what_would_be_cut_or_converted_is_refused(tmp_path):
    deep_png(tmp_path / "rgb16.png", 2)
    deep_png(tmp_path / "grey16.png", 0)
    grey().save(tmp_path / "two.png", save_all=True, append_images=[grey(3)])
    grey().save(tmp_path / "two.tif", save_all=True, append_images=[grey(3)])
    grey().convert("RGB").save(
        tmp_path / "two.webp", save_all=True, append_images=[grey(3).convert("RGB")]
    )
    grey().convert("RGBA").save(tmp_path / "alpha.png")
    grey().convert("P").save(tmp_path / "palette.png")
    grey().convert("1").save(tmp_path / "bit.png")
    grey().convert("CMYK").save(tmp_path / "print.jpg")
    for name, message in (
        ("rgb16.png", "rgb16.png must be 8-bit grey or RGB, got 16 bits per channel"),
        ("grey16.png", "grey16.png must be 8-bit grey or RGB, got mode I;16"),
        ("two.png", "two.png must hold one image, got 2 frames"),
        ("two.tif", "two.tif must hold one image, got 2 frames"),
        ("two.webp", "two.webp must hold one image, got 2 frames"),
        ("alpha.png", "got mode RGBA"),
        ("palette.png", "got mode P"),
        ("bit.png", "got mode 1"),
        ("print.jpg", "got mode CMYK"),
    ):
        with pytest.raises(ValueError, match=message):
            read_picture(tmp_path / name)


def test_an_image_that_is_too_large_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)
    grey(size=(8, 8)).save(tmp_path / "bomb.png")
    with pytest.raises(ValueError, match="bomb.png is too large"):
        read_picture(tmp_path / "bomb.png")


@pytest.mark.parametrize("content", [b"", b"x", b"\x89PNG\r\n\x1a\n" + b"\0" * 30])
def test_no_image_and_a_torn_one_are_named(tmp_path, content):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(ValueError, match="x.png is no readable image"):
        read_picture(tmp_path / "x.png")
    grey(size=(64, 64)).save(tmp_path / "y.png")
    (tmp_path / "y.png").write_bytes((tmp_path / "y.png").read_bytes()[:-30])
    with pytest.raises(ValueError, match="y.png is no readable image"):
        read_picture(tmp_path / "y.png")


def test_files_of_a_folder_or_of_its_subfolders_and_what_else_is_there(tmp_path):
    with pytest.raises(ValueError, match="must hold image files .* got none"):
        find_pictures(tmp_path)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        grey().save(tmp_path / name / "1.png")
    (tmp_path / "dog" / "notes.txt").write_text("x")
    (tmp_path / "dog" / "array.npy").write_bytes(b"x")
    files, left_out = find_pictures(tmp_path)
    assert [str(f.relative_to(tmp_path)) for f in files] == ["cat/1.png", "dog/1.png"]
    assert left_out == "files of other kinds are left out: 1 .npy, 1 .txt"
    assert find_pictures(tmp_path / "cat")[1] is None
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "bird").symlink_to(tmp_path / "cat")
    (tmp_path / "linked" / "bird" / "loop").symlink_to(tmp_path / "linked")
    assert len(find_pictures(tmp_path / "linked")[0]) == 1
    (tmp_path / "cat" / "loop").unlink()
    (tmp_path / "linked" / "bird").unlink()
    grey().save(tmp_path / "0.png")
    with pytest.raises(ValueError, match=r"got both: 1 in it, 2 below \(cat/1.png\)"):
        find_pictures(tmp_path)


def test_images_of_one_shape(tmp_path):
    grey().save(tmp_path / "a.png")
    grey(size=(4, 5)).save(tmp_path / "b.png")
    assert read_pictures([tmp_path / "a.png"] * 2, "x").shape == (2, 4, 4)
    with pytest.raises(ValueError, match=r"a.png has \(4, 4\), b.png has \(4, 5\)"):
        read_pictures([tmp_path / "a.png", tmp_path / "b.png"], "x")
