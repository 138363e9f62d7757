"""Files that are written whole or not at all."""

import os
import secrets
from pathlib import Path

__all__ = ["write_atomically"]


def write_atomically(path: Path, text: str) -> None:
    """Write a text file by a temporary one and a rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("w", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # or a machine that dies leaves an empty file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
