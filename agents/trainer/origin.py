"""What a run is made with: the versions of its libraries, the commit of this checkout, the command line."""

from __future__ import annotations

import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path


@cache
def versions() -> dict[str, str]:
    """Versions by name of what a run's numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in ("numpy", "tinygrad")}}


@cache
def git_commit() -> tuple[str, bool] | tuple[None, None]:
    """The commit that this code is checked out at, and whether tracked files differ from it; Nones outside a git checkout."""
    try:
        return _git("rev-parse", "HEAD"), bool(_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, None


def command_line() -> list[str]:
    """How this process was started."""
    return list(sys.orig_argv)


def _git(*arguments: str) -> str:
    command = ["git", "--no-optional-locks", *arguments]
    folder = Path(__file__).parent
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
