"""Files that are written whole or not at all."""

import errno
import os

import pytest

from lit_models.training.files import write_atomically


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("content", ["ü ≤ ↓\r\n", b"\x00\xff"])
def test_what_is_written_is_read_whatever_the_locale_is(content, tmp_path):
    path = tmp_path / "new" / "file"
    write_atomically(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_full_disk_leaves_the_old_file_and_is_told_with_its_name(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device: '.*/file'") as told:
        write_atomically(path, "new")
    assert (told.value.errno, told.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_is_a_file_is_told_with_the_files_name(tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(OSError) as told:  # noqa: PT011
        write_atomically(tmp_path / "x" / "file", "new")
    assert told.value.filename == str(tmp_path / "x" / "file")
