"""Rewrites finished segments, compressed and indexed, and keeps the log within its size, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from bus.errors import BusError
from bus.log.compaction import compact, waiting_bytes
from bus.log.reader import OnDamage
from bus.log.retention import thin

CLOSE_TIMEOUT = 1.0
LINEAGE = ("artifact.", "train.", "export.", "recorder.gap", "agent.manifest")
"""Topics whose events stay however old they are: they say what every artifact was made from and by whom, and which events were lost."""

RETRY_SECONDS = 30.0
"""Between two attempts where something, as a full disk, was in the way of the last one."""
POSTPONED_BYTES = 1024 * 1024 * 1024
"""Of segments that wait for a quiet moment; above that they are rewritten whatever the load."""
_QUIET_POLL = 0.2


class _Stopped(Exception):
    """Told to end: what was begun is begun again at the next start."""


class Compactor:
    """Works whenever it is woken, and once at its start for what an earlier recorder left, in moments that are not busy.

    It shares its process with who records: `is_busy` says when that needs the time. `on_error` hears what is in the way, and None
    once it all went well; `on_damage` of a segment that is too damaged to be thinned, `on_kept` whether the log fits into
    `keep_bytes` now.
    """

    def __init__(
        self,
        folder: Path,
        keep_bytes: int,
        is_busy: Callable[[], bool],
        on_error: Callable[[Exception | None], None],
        on_damage: OnDamage,
        on_kept: Callable[[bool], None],
    ) -> None:
        self._folder = folder
        self._keep_bytes = keep_bytes
        self._is_busy = is_busy
        self._on_error = on_error
        self._on_damage = on_damage
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
        failed = False
        while not self._stopping.is_set():
            self._woken.wait(RETRY_SECONDS if failed else None)
            self._woken.clear()
            try:
                error = self._work()
            except _Stopped:
                return
            if error is None or not failed:
                self._on_error(error)
            failed = error is not None

    def _work(self) -> Exception | None:
        """Rewrites and thins, also where the first fails: what thinning frees may be the room that it lacked. Returns the first error."""
        errors = []
        for step in (self._pause, self._compact, self._thin):
            try:
                step()
            except (BusError, OSError) as error:
                errors.append(error)
        return errors[0] if errors else None

    def _compact(self) -> None:
        compact(self._folder, self._pause)

    def _thin(self) -> None:
        thinned = thin(self._folder, self._keep_bytes, LINEAGE, self._pause)
        for damage in thinned.damaged:
            self._on_damage(damage)
        self._on_kept(thinned.over == 0)

    def _pause(self) -> None:
        while not self._stopping.is_set() and self._is_busy() and waiting_bytes(self._folder) < POSTPONED_BYTES:
            self._stopping.wait(_QUIET_POLL)
        if self._stopping.is_set():
            raise _Stopped
