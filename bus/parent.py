"""Whether the supervisor that started this process is still there: what it started must not outlive it."""

from __future__ import annotations

import os

SUPERVISOR = "BUS_SUPERVISOR"
"""The environment variable by which a supervisor says its process id."""


def is_orphaned() -> bool:
    """Whether this process had a supervisor and has lost it."""
    supervisor = os.environ.get(SUPERVISOR)
    return supervisor is not None and str(os.getppid()) != supervisor
