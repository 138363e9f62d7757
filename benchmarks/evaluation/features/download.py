"""Pretrained weights from their publisher: resumable, hash-checked, never half a file."""

import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from benchmarks.evaluation.features.base import check_hash

__all__ = ["PublishedWeights", "download"]

BLOCK = 1 << 20


@dataclass(frozen=True)
class PublishedWeights:
    """A weights file that can be fetched.

    Attributes:
        name: As given to `dgmbench prefetch`.
        path: Where it belongs.
        url: The address of the publisher.
        fingerprint: SHA-256 of the publisher's file.
        accepted: Hashes of all files that will do.
    """

    name: str
    path: Path
    url: str
    fingerprint: str
    accepted: Sequence[str]

    def is_prepared(self) -> bool:
        """Return whether a file is there."""
        return self.path.exists()

    def prepare(self) -> None:
        """Fetch the file; OSError where that fails."""
        download(self.url, self.path, self.fingerprint)

    def setup(self) -> None:
        """Check the file's hash; ValueError where it is none of the accepted ones."""
        check_hash(self.path, self.accepted)


def download(url: str, path: Path, sha256: str) -> None:
    """Fetch a file; a transfer that was cut goes on where it was.

    Raises:
        OSError: if the transfer fails, or what came has another hash (it is deleted then).
    """
    part = path.with_name(f"{path.name}.part")
    if part.exists() and _has_hash(part, sha256):  # cut between the last byte and the rename
        part.replace(path)
        return
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # more is here than there: the part is of another file
            part.unlink()
        raise
    with response:
        goes_on = response.status == 206
        total = int(response.headers.get("Content-Length", 0)) + (done if goes_on else 0)
        with (
            part.open("ab" if goes_on else "wb") as file,
            tqdm(total=total or None, initial=file.tell(), unit="B", unit_scale=True) as bar,
        ):
            while block := response.read(BLOCK):
                file.write(block)
                bar.update(len(block))
    if total and part.stat().st_size < total:
        raise OSError(f"the transfer of {url} was cut; the same command goes on from there")
    try:
        check_hash(part, [sha256])
    except ValueError as error:
        part.unlink()
        raise OSError(str(error)) from error
    part.replace(path)


def _has_hash(path: Path, sha256: str) -> bool:
    try:
        check_hash(path, [sha256])
    except ValueError:
        return False
    return True
