"""Room for one thing that waits for a thread: a newer one takes its place."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Newest(Generic[T]):
    """Safe from any thread."""

    def __init__(self) -> None:
        self._waiting: T | None = None
        self._is_closed = False
        self._changed = threading.Condition()

    def put(self, thing: T) -> None:
        """Let it wait, instead of what has waited until now."""
        with self._changed:
            self._waiting = thing
            self._changed.notify()

    def take(self) -> T | None:
        """Wait for one; None: it is closed, and nothing more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._waiting is not None)
            taken, self._waiting = self._waiting, None
            return None if self._is_closed else taken

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
