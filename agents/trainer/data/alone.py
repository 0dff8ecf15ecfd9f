"""One process at a time makes what a cache folder keeps."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agents.trainer.data.files import Progress, Report

PATIENCE = 3600.0
"""Seconds that one waits for another."""


@contextmanager
def alone(cache: Path, report: Report) -> Iterator[None]:
    """Hold the lock of `cache`, which the kernel frees when its holder dies. Raises TimeoutError, OSError, and what `report` raises."""
    path, deadline = cache / ".lock", time.monotonic() + PATIENCE
    with path.open("ab") as file:
        while not _locked(file.fileno()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"another process has held {path} for {PATIENCE:.0f} s: end it, then start again")
            report(Progress("waiting", 0, 0))
            time.sleep(0.1)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
