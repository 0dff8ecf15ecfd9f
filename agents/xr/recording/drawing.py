"""Has a trajectory drawn (plot.py) in a process of its own, so that no agent waits for matplotlib or dies of it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

SECONDS = 60.0
"""That a picture may take: on a busy machine, at nice 10, with a cache of fonts to make."""
POLL = 0.05
EXIT_SECONDS = 5.0
"""For a process that was killed to be gone."""


def draw(trajectory: Path, picture: Path, cancelled: threading.Event) -> str | None:
    """Draw the file of a trajectory as a PNG. None, or why there is no picture."""
    command = [sys.executable, "-m", "agents.xr.recording.plot", str(trajectory), str(picture)]
    # Its input is a pipe that says nothing: it ends when we do, even by kill -9.
    with tempfile.TemporaryFile() as output, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output) as child:
        code = _wait(child, cancelled)
        if code is None:
            child.kill()
            child.wait(EXIT_SECONDS)
            return "there was no time to draw it"
        output.seek(0)
        said = output.read().decode(errors="replace").strip()
        return (said.splitlines() or [f"it was not drawn: exit code {code}"])[-1] if code else None


def _wait(child: subprocess.Popen[bytes], cancelled: threading.Event) -> int | None:
    """The exit code, None: it takes longer than it may, or nobody waits for it any more."""
    deadline = time.monotonic() + SECONDS
    while (code := child.poll()) is None and time.monotonic() < deadline:
        if cancelled.wait(POLL):
            return None
    return code
