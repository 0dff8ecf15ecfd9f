"""Being told to stop, for a process whose main thread waits without an event loop: the hub, and each supervisor."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType


class Stop:
    """`is_set` once a signal has come or `set` was called. For the main thread.

    Not a threading.Event: a signal handler interrupts the main thread anywhere, also where that holds the event's lock to wait for it,
    and would then wait for that lock itself, for ever.
    """

    def __init__(self) -> None:
        self.is_set = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)

    def on_signals(self) -> None:
        """From now on SIGTERM, SIGINT and SIGHUP set it."""
        signal.set_wakeup_fd(self._wake_write)  # written as a signal arrives, so that one just before a wait ends it, too
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def set(self) -> None:
        self.is_set = True

    def wait(self, seconds: float) -> bool:
        """Wait for a signal, at most so long. Whether it is set."""
        if not self.is_set:
            select.select([self._wake_read], [], [], seconds)
        return self.is_set

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.set()
