"""Runs the process that exports (job.py) and yields what it says. A crash of a library ends that process, never the agent."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import IO

from msgspec import json

from agents.exporter.messages import LONGEST, Broken, Finished, Message, Order, decode

SILENCE = 1800.0
"""Seconds without a word after which the process is given up: one backend on a busy machine, or one large matrix, takes minutes."""
POLL = 0.1
EXIT_PATIENCE, CANCEL_PATIENCE = 5.0, 1.0


class ExportCrashed(RuntimeError):
    """The process that exports ended, or fell silent, without a last word."""


def run_job(order: Order, cancelled: threading.Event) -> Iterator[Message]:
    """The messages of one export, until its last; ends early where it is cancelled. Raises ExportCrashed, OSError."""
    command = [sys.executable, "-m", "agents.exporter.job", json.encode(order).decode()]
    # Its input is a pipe that says nothing: it ends when we do, even by kill -9. Its session is its own: Ctrl-C is for the agent.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as child:
        try:
            yield from _messages(child, cancelled)
        finally:
            child.kill()


def _messages(child: subprocess.Popen[bytes], cancelled: threading.Event) -> Iterator[Message]:
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(child.stdout, lines), name="export-reader", daemon=True).start()
    deadline = time.monotonic() + SILENCE
    while not cancelled.is_set():
        try:
            line = lines.get(timeout=POLL)
        except queue.Empty:
            if time.monotonic() > deadline:
                raise ExportCrashed(f"the process that exports has said nothing for {SILENCE:g} s") from None
            continue
        if not line:
            if cancelled.wait(CANCEL_PATIENCE):  # whoever ended it is about to end us too
                return
            raise ExportCrashed(f"the process that exports ended without a last word ({_exit(child)}): was it killed for its memory?")
        deadline = time.monotonic() + SILENCE
        message = _decoded(line)
        yield message
        if isinstance(message, Finished | Broken):
            return


def _read(stream: IO[bytes] | None, lines: queue.SimpleQueue[bytes]) -> None:
    """Pass on each line, and an empty one at the end."""
    while stream is not None and (line := stream.readline(LONGEST)):
        lines.put(line)
    lines.put(b"")


def _decoded(line: bytes) -> Message:
    try:
        return decode(line)
    except ValueError as error:
        raise ExportCrashed(f"the process that exports said {line[:200]!r}: {error}") from error


def _exit(child: subprocess.Popen[bytes]) -> str:
    """How it ended."""
    try:
        code = child.wait(EXIT_PATIENCE)
    except subprocess.TimeoutExpired:
        return "it still runs"
    return f"by signal {-code}" if code < 0 else f"exit code {code}"
