"""A lock that is a file: it works on network file systems and outlives no dead owner.

Locks of the system (flock, lockf) are refused or kept to one machine on some cluster file
systems. What all of them give is the creation of a file by one process alone.
"""

import json
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["HeldError", "Owner", "held", "owner_of"]

BEAT_SECONDS = 10.0
WATCH_SECONDS = 25.0  # without a beat, an owner elsewhere is taken for dead
WRITE_SECONDS = 5.0  # and a file without an owner for one whose writer died
POLL_SECONDS = 0.2
UNKNOWN = "?"


class HeldError(Exception):
    """Another process has the lease."""


@dataclass(frozen=True)
class Owner:
    """Who has a lease.

    Attributes:
        token: Drawn for this lease.
        host: Name of the machine.
        place: Where its process numbers hold: the boot of a machine, and a namespace.
        pid: Process number.
        born: When the system started the process, so that a reused number is told apart.
        since: ISO time, UTC.
    """

    token: str
    host: str
    place: str
    pid: int
    born: str
    since: str

    @classmethod
    def myself(cls) -> "Owner":
        """Describe this process, with a new token."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        pid = os.getpid()
        return cls(secrets.token_hex(8), socket.gethostname(), _place(), pid, _born(pid), now)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"

    def is_dead_here(self) -> bool | None:
        """Return whether the process has ended; None if it cannot be seen from here."""
        if self.place != _place() or UNKNOWN in self.place:
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False  # another user's, which may be hidden
        return _born(self.pid) != self.born


@contextmanager
def held(path: Path, wait: bool = False) -> Iterator[None]:
    """Hold the lease of a path; a thread keeps it fresh.

    Args:
        path: The file that stands for the lease.
        wait: Wait for another owner to end.

    Raises:
        HeldError: naming the owner, unless `wait`.
    """
    me = Owner.myself()
    while not _create(path, me):
        owner = owner_of(path)
        if _is_dead(path, owner):
            _remove(path, owner)
        elif path.exists() and not wait:
            raise HeldError(str(owner or "a process that is just starting"))
        else:
            time.sleep(POLL_SECONDS)
    done = threading.Event()
    beats = threading.Thread(target=_beat, args=(path, me, done), daemon=True)
    beats.start()
    try:
        yield
    finally:
        done.set()
        beats.join()
        if owner_of(path) == me:
            path.unlink(missing_ok=True)


def owner_of(path: Path) -> Owner | None:
    """Return who has the lease; None if nobody has, or if the file is not whole (yet)."""
    try:
        return Owner(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _create(path: Path, me: Owner) -> bool:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(asdict(me)))
    return True


def _is_dead(path: Path, owner: Owner | None) -> bool:
    """Decide whether an owner has ended.

    One that cannot be seen is watched for a beat; no clock is asked, since they may be wrong.
    """
    if owner is not None and (dead := owner.is_dead_here()) is not None:
        return dead
    beat = _modified(path)
    end = time.monotonic() + (WATCH_SECONDS if owner is not None else WRITE_SECONDS)
    while time.monotonic() < end:
        if beat is None or _modified(path) != beat or owner_of(path) != owner:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _modified(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _remove(path: Path, owner: Owner | None) -> None:
    """Remove a dead owner's file, and none that another process has made meanwhile.

    Of those that try, one makes the guard, looks again, and removes; a guard outlives a process
    that was killed just then, and is removed by who has watched it for as long as an owner.
    """
    guard = path.with_name(f"{path.name}.breaking")
    try:
        os.close(os.open(guard, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        if _is_dead(guard, None):
            guard.unlink(missing_ok=True)
        return
    try:
        if owner_of(path) == owner:
            path.unlink(missing_ok=True)
    finally:
        guard.unlink(missing_ok=True)


def _beat(path: Path, me: Owner, done: threading.Event) -> None:
    while not done.wait(BEAT_SECONDS):
        try:
            mine = json.loads(path.read_text(encoding="utf-8"))["token"] == me.token
            os.utime(path)
        except FileNotFoundError:
            mine = False
        except (OSError, ValueError):
            continue  # a file system that is away for a moment
        if not mine and not done.is_set():
            who = owner_of(path) or "nobody: it was removed"
            print(f"dgmbench: lost {path} to {who}", file=sys.stderr, flush=True)
            os._exit(1)  # two must not write


def _place() -> str:
    """Return what process numbers are relative to."""
    parts = [socket.gethostname()]
    for read in (
        lambda: Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip(),
        lambda: str(Path("/proc/self/ns/pid").readlink()),
    ):
        try:
            parts.append(read())
        except OSError:
            parts.append(UNKNOWN)
    return " ".join(parts)


def _born(pid: int) -> str:
    """Return the start of a process in ticks since boot; "" if there is none, or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
