"""Files that are written whole or not at all, and always in UTF-8."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

__all__ = ["write_atomically"]


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file by a temporary one and a rename.

    Args:
        path: The file; its folder is made where it is missing.
        content: A text, which is written in UTF-8 whatever the locale is, or bytes.

    Raises:
        OSError: if that fails, as on a full disk; it names the file, of which the old content
            stays.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())  # or a machine that dies leaves an empty file
        part.replace(path)
    except OSError as error:  # of a write, it has no name; of the part, one that is gone
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):  # its folder is none, or closed: then there is no part
            part.unlink(missing_ok=True)
