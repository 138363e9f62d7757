"""Downloads against a server on this machine: they go on where they were cut, and are checked."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest

from benchmarks.evaluation.features.download import PublishedWeights, download

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    asked: ClassVar[list[int]] = []
    cut_at = None

    def do_GET(self):
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        Handler.asked.append(start)
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : Handler.cut_at])

    def log_message(self, *args):
        pass


@pytest.fixture
def url(monkeypatch):
    monkeypatch.setattr(Handler, "asked", [])
    monkeypatch.setattr(Handler, "cut_at", None)
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/weights.pth"
    server.shutdown()
    server.server_close()


def test_a_cut_transfer_goes_on(url, tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    monkeypatch.setattr(Handler, "cut_at", 300_000)
    with pytest.raises(OSError, match=r"was cut|IncompleteRead"):
        download(url, path, SHA256)
    assert not path.exists()
    monkeypatch.setattr(Handler, "cut_at", None)
    download(url, path, SHA256)
    assert path.read_bytes() == CONTENT
    assert Handler.asked == [0, 300_000]
    assert [p.name for p in tmp_path.iterdir()] == ["weights.pth"]


def test_a_whole_part_is_the_file(url, tmp_path):
    """Killed between the last byte and the rename: nothing is asked for again."""
    (tmp_path / "weights.pth.part").write_bytes(CONTENT)
    download(url, tmp_path / "weights.pth", SHA256)
    assert (tmp_path / "weights.pth").read_bytes() == CONTENT
    assert Handler.asked == []


def test_a_part_of_another_file_is_thrown_away(url, tmp_path):
    """The server has fewer bytes than are here: 416, and the next call begins anew."""
    (tmp_path / "weights.pth.part").write_bytes(CONTENT + b"more")
    with pytest.raises(OSError, match="416"):
        download(url, tmp_path / "weights.pth", SHA256)
    download(url, tmp_path / "weights.pth", SHA256)
    assert (tmp_path / "weights.pth").read_bytes() == CONTENT


def test_what_has_another_hash_is_deleted(url, tmp_path):
    with pytest.raises(OSError, match="must have SHA-256 00, got"):
        download(url, tmp_path / "weights.pth", "00")
    assert not list(tmp_path.iterdir())


def test_weights_are_fetched_once_and_other_accepted_files_stay(url, tmp_path):
    weights = PublishedWeights("w", tmp_path / "weights.pth", url, SHA256, [SHA256, "11"])
    assert not weights.is_prepared()
    weights.prepare()
    assert weights.is_prepared()
    weights.setup()
    weights.path.write_bytes(b"other")
    with pytest.raises(ValueError, match="must have SHA-256"):
        weights.setup()
