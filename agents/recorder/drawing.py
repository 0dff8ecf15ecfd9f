"""Has loss curves drawn in a process of their own (curve.py), so that nothing of the recorder waits for matplotlib or dies of it."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from bus.home import Home

FIRST_SECONDS, MORE_SECONDS = 60.0, 10.0
"""That a picture may take, and each further one of the same process: on a busy machine, at nice 10, with a cache of fonts to make."""
CLOSE_SECONDS = 1.0
"""For what is being drawn when the recorder ends; what is not ready then is drawn when it starts again."""
POLL = 0.05

_log = structlog.get_logger()


class Drawer:
    """Draws on a thread of its own, one process at a time. What is asked for meanwhile is drawn next, once."""

    def __init__(self, artifacts: Path) -> None:
        self._artifacts = artifacts
        self._asked: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drawer", daemon=True)
        self._thread.start()

    def ask(self, folder: Path) -> None:
        """Draw the run in `folder`, soon."""
        self._asked.put(folder)

    def close(self) -> None:
        """Wait a moment for what was asked for, then end."""
        self._asked.put(None)
        self._thread.join(CLOSE_SECONDS)
        self._cancelled.set()
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        asked: list[Path | None] = []
        while None not in asked:
            asked = [self._asked.get()]
            while not self._asked.empty():
                asked.append(self._asked.get())
            if folders := list(dict.fromkeys(folder for folder in asked if folder is not None)):
                draw(self._artifacts, folders, self._cancelled)


def draw(artifacts: Path, folders: Sequence[Path], cancelled: threading.Event | None = None) -> None:
    """Draw these runs and return. What goes wrong is logged, and leaves their pictures as they were."""
    try:
        reason = _draw(artifacts, folders, cancelled or threading.Event())
    except OSError as error:
        reason = str(error)
    if reason is not None:
        _log.warning("loss curves are not drawn", runs=[folder.name for folder in folders], reason=reason)


def _draw(artifacts: Path, folders: Sequence[Path], cancelled: threading.Event) -> str | None:
    """None, or why they are not drawn."""
    command = [sys.executable, "-m", "agents.recorder.curve", *map(str, folders)]
    environment = {"MPLCONFIGDIR": str(Home(artifacts.parent).cache / "matplotlib"), **os.environ}
    seconds = FIRST_SECONDS + MORE_SECONDS * len(folders)
    # Its input is a pipe that says nothing: it ends when we do, even by kill -9.
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=output, stderr=output) as child,
    ):
        deadline = time.monotonic() + seconds
        while child.poll() is None and not cancelled.wait(POLL):
            if time.monotonic() > deadline:
                child.kill()
                return f"drawing took more than {seconds:g} s"
        if child.poll() is None:
            child.kill()
            return None
        output.seek(0)
        said = output.read().decode(errors="replace").strip()
        return (said.splitlines() or [f"exit code {child.returncode}"])[-1] if child.returncode else None
