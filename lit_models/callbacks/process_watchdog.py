"""A process that died is named, and the others end instead of waiting for it."""

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer

from lit_models.training.collectives import world
from lit_models.training.interruption import Interrupted
from lit_models.training.lightning_internals import default_store

__all__ = ["ProcessWatchdog"]

BEAT_SECONDS = 1.0
GONE_SECONDS = 4.0  # without a beat, where an exchange has failed already

log = logging.getLogger("dgmbench")


class ProcessWatchdog(Callback):
    """Every process of a group beats in a thread of its own, and listens to the others.

    An exchange with a process that died fails at once over gloo and after many minutes over NCCL,
    and one with a process that hangs never does; none of these names it.

    Args:
        timeout_seconds: Silence after which a process is taken for dead.
        on_death: Told which it was, on every process that is left, before it ends.
    """

    def __init__(self, timeout_seconds: float, on_death: Callable[[str], None]) -> None:
        if timeout_seconds <= GONE_SECONDS:
            raise ValueError(f"timeout_seconds must be > {GONE_SECONDS:g}, got {timeout_seconds}")
        self.timeout_seconds, self.on_death = timeout_seconds, on_death
        self._heard: dict[int, tuple[str, float]] = {}
        self._done = threading.Event()
        self._store: Any = None
        self._thread: threading.Thread | None = None
        self._clean = True

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if world()[1] == 1 or self._store is not None:
            return
        self.rank, self.world_size = world()
        # a connection of its own: others wait in theirs
        self._store = default_store().clone()
        self._store.set_timeout(timedelta(seconds=GONE_SECONDS))
        self._name = f"process {os.getpid()} on {socket.gethostname()}"
        self._beat(0)
        dist.barrier()  # every first beat is there
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def tell(self, error: BaseException) -> None:
        """Tell the others why this process ends, unless it is one of theirs that made it."""
        self._clean = isinstance(error, Interrupted)
        own = isinstance(error, Exception) and not _is_of_exchange(error)
        if self._store is not None and own:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            self._try(lambda: self._store.set(f"watch/reason/{self.rank}", reason))

    def end(self) -> None:
        """Stop beating; after a clean end the others do not miss this process."""
        self._done.set()
        if self._thread is not None:
            # the interpreter must not end while it asks the store
            self._thread.join(2 * GONE_SECONDS)

    def explain(self, exception: BaseException) -> str | None:
        """Return which process died, where an exchange failed; None if it was not for that."""
        if self._store is None or not _is_of_exchange(exception):
            return None
        end = time.monotonic() + GONE_SECONDS + 2 * BEAT_SECONDS
        while time.monotonic() < end:
            found = self._said() or self._missing(GONE_SECONDS)
            if found is not None:
                return found
            time.sleep(BEAT_SECONDS)
        return None

    def _run(self) -> None:
        count, last = 0, time.monotonic()
        while not self._done.wait(BEAT_SECONDS):
            count += 1
            self._beat(count)
            self._listen()
            if time.monotonic() - last > self.timeout_seconds / 2:
                self._heard.clear()  # this process was suspended, and so, it seems, were all
            last = time.monotonic()
            missing = self._missing(self.timeout_seconds)
            if missing is not None and not self._done.is_set():
                print(f"dgmbench: {missing}; the job ends", file=sys.stderr, flush=True)
                self.on_death(missing)
                os._exit(1)  # the main thread may wait for ever
        if self._clean:
            self._beat("end")

    def _beat(self, count: int | str) -> None:
        self._try(lambda: self._store.set(f"watch/beat/{self.rank}", f"{self._name}|{count}"))

    def _listen(self) -> None:
        others = [r for r in range(self.world_size) if r != self.rank]
        found: list[bytes] = []
        keys = [f"watch/beat/{r}" for r in others]
        if self._try(lambda: found.extend(self._store.multi_get(keys))):
            for rank, text in zip(others, map(bytes.decode, found), strict=True):
                if self._heard.get(rank, ("", 0))[0] != text:
                    self._heard[rank] = (text, time.monotonic())

    def _missing(self, seconds: float) -> str | None:
        now = time.monotonic()
        for rank, (text, heard) in sorted(self._heard.items()):
            where, _, count = text.rpartition("|")
            if now - heard > seconds and count != "end":
                log.warning("dgmbench: rank %d was %s", rank, where)
                return f"rank {rank} has not answered for {now - heard:.0f} s"
        return None

    def _said(self) -> str | None:
        """Return what a process said before it ended, if one did."""
        for rank in range(self.world_size):
            key = f"watch/reason/{rank}"
            try:
                if self._store.check([key]):
                    return f"rank {rank} failed: {self._store.get(key).decode()}"
            except (RuntimeError, OSError):
                break
        return None

    @staticmethod
    def _try(action: Callable[[], Any]) -> bool:
        """Return whether the store could be asked; the process that keeps it may be gone."""
        try:
            action()
        except (RuntimeError, OSError):
            return False
        return True


def _is_of_exchange(exception: BaseException) -> bool:
    """Return whether an exception comes from an exchange between processes that broke."""
    text = str(exception)
    return isinstance(exception, dist.DistError) or any(k in text for k in ("gloo", "NCCL"))
