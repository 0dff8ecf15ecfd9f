"""Rewrites finished segments, compressed and indexed, and keeps the log within its size, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from bus.errors import BusError
from bus.log.compaction import compact, waiting_bytes
from bus.log.retention import thin

CLOSE_TIMEOUT = 1.0
LINEAGE = ("artifact.", "train.", "export.")
"""Topics whose events stay however old they are: they say what every artifact was made from."""


POSTPONED_BYTES = 1024 * 1024 * 1024
"""Of segments that wait for a quiet moment; above that they are rewritten whatever the load."""
_QUIET_POLL = 0.2


class _Stopped(Exception):
    """Told to end: what was begun is begun again at the next start."""


class Compactor:
    """Works whenever it is woken, and once at its start for what an earlier recorder left, in moments that are not busy.

    It shares its process with who records: `is_busy` says when that needs the time. `on_error` hears of a segment that stays as it
    is, `on_kept` whether the log fits into `keep_bytes` now.
    """

    def __init__(
        self,
        folder: Path,
        keep_bytes: int,
        is_busy: Callable[[], bool],
        on_error: Callable[[Exception], None],
        on_kept: Callable[[bool], None],
    ) -> None:
        self._folder = folder
        self._keep_bytes = keep_bytes
        self._is_busy = is_busy
        self._on_error = on_error
        self._on_kept = on_kept
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="compactor", daemon=True)
        self._woken.set()
        self._thread.start()

    def wake(self) -> None:
        self._woken.set()

    def close(self) -> bool:
        """Whether the thread has ended, which it does between two chunks."""
        self._stopping.set()
        self._woken.set()
        self._thread.join(CLOSE_TIMEOUT)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while self._woken.wait() and not self._stopping.is_set():
            self._woken.clear()
            try:
                self._pause()
                compact(self._folder, self._pause)
                self._thin()
            except _Stopped:
                return
            except (BusError, OSError) as error:
                self._on_error(error)

    def _thin(self) -> None:
        thinned = thin(self._folder, self._keep_bytes, LINEAGE, self._pause)
        for damaged in thinned.damaged:
            self._on_error(damaged)
        self._on_kept(thinned.over == 0)

    def _pause(self) -> None:
        while not self._stopping.is_set() and self._is_busy() and waiting_bytes(self._folder) < POSTPONED_BYTES:
            self._stopping.wait(_QUIET_POLL)
        if self._stopping.is_set():
            raise _Stopped
