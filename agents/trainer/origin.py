"""What a run is made with: the versions of its libraries and the commit of this checkout."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path


@cache
def versions() -> dict[str, str]:
    """Versions by name of what a run's numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in ("numpy", "tinygrad")}}


@cache
def git_commit() -> str | None:
    """The commit that this code is checked out at; None outside a git checkout."""
    folder = Path(__file__).parent
    try:
        asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return asked.stdout.strip()
