"""Whether who started this process is still there: what was started must not outlive it."""

from __future__ import annotations

import os
import sys
import threading

SUPERVISOR = "BUS_SUPERVISOR"
"""The environment variable by which a supervisor says its process id."""


def is_orphaned() -> bool:
    """Whether this process had a supervisor and has lost it."""
    supervisor = os.environ.get(SUPERVISOR)
    return supervisor is not None and str(os.getppid()) != supervisor


def end_with_input() -> None:
    """End this process, at once, when its standard input does: a pipe from its parent, which ends with that, however it went."""
    threading.Thread(target=_await_end_of_input, daemon=True).start()


def _await_end_of_input() -> None:
    os.read(sys.stdin.fileno(), 1)  # not through sys.stdin, whose lock Python wants when it exits
    os._exit(1)
