"""Has a trajectory drawn (plot.py) in a process of its own, so that no agent waits for matplotlib or dies of it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 60.0
"""That a picture may take: on a busy machine, at nice 10, with a cache of fonts to make."""
POLL = 0.05
EXIT_SECONDS = 1.0
"""For a process that was killed to be gone: who ends has little time."""


def draw(trajectory: Path, picture: Path, cancelled: threading.Event) -> str | None:
    """Draw the file of a trajectory as a PNG. None, or why there is no picture."""
    command = [sys.executable, "-m", "agents.xr.recording.plot", str(trajectory), str(picture)]
    # Its input is a pipe that says nothing: it ends when we do, even by kill -9.
    with _silent_pipe() as silence, tempfile.TemporaryFile() as output:
        child = subprocess.Popen(command, stdin=silence, stdout=output, stderr=output)  # as a context it would be waited for without end
        code = _wait(child, cancelled)
        if code is None:
            return _kill(child)
        output.seek(0)
        said = output.read().decode(errors="replace").strip()
        return (said.splitlines() or [f"it was not drawn: exit code {code}"])[-1] if code else None


@contextmanager
def _silent_pipe() -> Iterator[int]:
    """The end of a pipe that is read, while nothing is written to the other one."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


def _kill(child: subprocess.Popen[bytes]) -> str:
    """Why there is no picture."""
    child.kill()
    try:
        child.wait(EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        return f"there was no time to draw it, and process {child.pid}, which was killed, does not end"
    return "there was no time to draw it"


def _wait(child: subprocess.Popen[bytes], cancelled: threading.Event) -> int | None:
    """The exit code, None: it takes longer than it may, or nobody waits for it any more."""
    deadline = time.monotonic() + SECONDS
    while (code := child.poll()) is None and time.monotonic() < deadline:
        if cancelled.wait(POLL):
            return None
    return code
