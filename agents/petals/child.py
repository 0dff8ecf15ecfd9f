"""A process of the swarm as the agent sees it: started with an order, spoken to over pipes, ended with everything that it started."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import structlog

from agents.petals.messages import BadFrame, Broken, Message, encode, read

LEAVE_SECONDS = 0.6
"""What a process has to tell the swarm that it leaves; then it is killed."""
GONE_SECONDS = 0.3
"""The longest wait for the group of a killed process to be gone; where nobody takes what has ended, it stays as a name."""
LAST_LINES = 20
"""Lines of its diagnostics that are kept, for when it dies without a word."""
LINE = 1000
"""Characters of one that are read."""

_log = structlog.get_logger()


class Gone(RuntimeError):
    """The process is there no more."""


@dataclass(slots=True)
class Child:
    """Owns the process `python -m module`. `heard` gets what it says, from a thread of its own; `ended`, last, why it ended by itself."""

    module: str
    heard: Callable[[Message], None]
    ended: Callable[[str], None]
    _process: subprocess.Popen[bytes] | None = None
    _outbox: queue.SimpleQueue[Message | None] = field(default_factory=queue.SimpleQueue)
    _lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    _reason: str | None = None
    _sockets: str | None = None
    _leaving: bool = False
    _reaped: bool = False
    _killing: threading.Lock = field(default_factory=threading.Lock)

    def start(self, python: Path, order: Message, environment: Mapping[str, str]) -> None:
        """Raises OSError."""
        self._sockets = tempfile.mkdtemp(prefix="zeropoint-swarm-")  # short: a socket's path has little room
        environment = {**environment, "HIVEMIND_SOCKETS": self._sockets}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [str(python), "-m", self.module]
        # A session of its own: Ctrl-C is for the agent, and its group is all that it starts.
        process = self._process = subprocess.Popen(command, env=environment, start_new_session=True, **pipes)  # type: ignore[call-overload]  # the pipes
        for pipe, work in ((process.stdin, self._write), (process.stdout, self._read), (process.stderr, self._drain)):
            threading.Thread(target=work, args=(process, pipe), name=self.module, daemon=True).start()
        self._outbox.put(order)

    @property
    def pid(self) -> int | None:
        """Also the number of the group of all that it started; None before the start."""
        return None if self._process is None else self._process.pid

    def say(self, message: Message) -> None:
        """Send a message, without waiting for it to be read. Raises Gone."""
        if self._leaving or self._process is None or self._process.returncode is not None:
            raise Gone(f"{self.module} has ended")
        self._outbox.put(message)

    def leave(self) -> None:
        """Let it tell the swarm that it leaves."""
        self._leaving = True
        self._outbox.put(None)

    def end(self) -> None:
        """Let it leave, then kill what is left of it."""
        self.leave()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(LEAVE_SECONDS)
            self._kill(self._process)

    def _write(self, process: subprocess.Popen[bytes], pipe: BinaryIO) -> None:
        """Write what is in the outbox, until the process is to leave, or reads no more."""
        with contextlib.suppress(OSError), pipe:
            while (message := self._outbox.get()) is not None:
                pipe.write(encode(message))
                pipe.flush()

    def _read(self, process: subprocess.Popen[bytes], pipe: BinaryIO) -> None:
        try:
            while (message := read(pipe)) is not None:
                if isinstance(message, Broken):
                    self._reason = f"{message.error}: {message.message}"
                self._hear(message)
        except BadFrame as error:
            self._reason = str(error)
        finally:
            self._kill(process)
            self._outbox.put(None)
            if not self._leaving:
                self.ended(self._reason or f"it ended with {process.returncode}: {' / '.join(list(self._lines)[-3:])}")

    def _hear(self, message: Message) -> None:
        try:
            self.heard(message)
        except Exception:  # a full bus or disk: the process is not to end for it
            _log.exception("what a process of the swarm said was lost", process=self.module, kind=type(message).__name__)

    def _drain(self, process: subprocess.Popen[bytes], pipe: BinaryIO) -> None:
        while line := pipe.readline(LINE):
            self._lines.append(line.decode(errors="replace").rstrip())

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        """End the process and everything of its group, once, and wait for it to be gone: what was killed is there for a moment longer."""
        with self._killing:
            if self._reaped:
                return
            self._reaped = True
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says PermissionError of a group of zombies
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                await_gone(process.pid)
            process.wait()
            if self._sockets is not None:
                shutil.rmtree(self._sockets, ignore_errors=True)  # at the worst some names stay


def await_gone(group: int) -> None:
    """Return when nothing of a killed group is left, or GONE_SECONDS have passed. Raises ProcessLookupError, PermissionError."""
    deadline = time.monotonic() + GONE_SECONDS
    while time.monotonic() < deadline:
        os.killpg(group, 0)
        time.sleep(0.005)
