"""Log lines for the operator: structlog key-values on standard error, by a thread of their own, so that logging never blocks."""

from __future__ import annotations

import errno
import os
import queue
import sys
import threading
from collections.abc import Callable

import structlog
from structlog.dev import plain_traceback

WAITING_LINES = 1000
"""Lines kept while the terminal takes none (honcho stopped by Ctrl-Z); what comes above is dropped, and the next line says how many."""
EXIT_TIMEOUT = 0.5
_GONE = (errno.EPIPE, errno.EIO, errno.EBADF)  # the terminal is gone, and with it everybody who could be told


class _Lines:
    """The logger that structlog writes to."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[str | None] = queue.Queue(WAITING_LINES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="console", daemon=True)
        self._thread.start()

    def msg(self, line: str) -> None:
        try:
            if self._dropped:
                self._waiting.put_nowait(f"[warning  ] {self._dropped} log lines were dropped: the terminal took none")
                self._dropped = 0
            self._waiting.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    log = debug = info = warn = warning = error = critical = exception = fatal = failure = err = msg

    def _write(self) -> None:
        while (line := self._waiting.get()) is not None:
            try:
                _write_all(line.encode(errors="replace") + b"\n")
            except OSError as error:
                if error.errno in _GONE:
                    return
                self._dropped += 1

    def close(self) -> None:
        """Write what waits, for at most EXIT_TIMEOUT, and end the thread."""
        try:
            self._waiting.put(None, timeout=EXIT_TIMEOUT)
        except queue.Full:
            return
        self._thread.join(EXIT_TIMEOUT)


def _write_all(line: bytes) -> None:
    while line:
        line = line[os.write(2, line) :]


def configure() -> Callable[[], None]:
    """Send structlog's lines through the writer thread. Returns what writes the last of them, to be called at the end.

    Times are left to honcho where standard error is no terminal.
    """
    on_terminal = sys.stderr.isatty()
    processors: list[structlog.typing.Processor] = [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level]
    if on_terminal:
        processors.append(structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False))
    colors = on_terminal and "NO_COLOR" not in os.environ
    lines = _Lines()
    structlog.configure(
        processors=[
            *processors,
            structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0, sort_keys=False, exception_formatter=plain_traceback),
        ],
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    return lines.close
