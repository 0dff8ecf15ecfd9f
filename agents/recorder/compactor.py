"""Rewrites finished segments, compressed and indexed, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from bus.errors import BusError
from bus.log.compaction import compact

CLOSE_TIMEOUT = 1.0


class Compactor:
    """Works whenever it is woken, and once at its start for what an earlier recorder left. `on_error` hears of a segment that stays."""

    def __init__(self, folder: Path, on_error: Callable[[Exception], None]) -> None:
        self._folder = folder
        self._on_error = on_error
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="compactor", daemon=True)
        self._woken.set()
        self._thread.start()

    def wake(self) -> None:
        self._woken.set()

    def close(self) -> bool:
        """Whether the thread has ended: a large segment takes longer than a shutdown may, and is begun again at the next start."""
        self._stopping.set()
        self._woken.set()
        self._thread.join(CLOSE_TIMEOUT)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                compact(self._folder)
            except (BusError, OSError) as error:
                self._on_error(error)
            self._woken.wait()
            self._woken.clear()
