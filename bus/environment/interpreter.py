"""Finds the Python that an environment is made of: not a shim or another environment, but the interpreter behind it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from bus.environment.errors import EnvironmentFailed

PROBE_TIMEOUT = 20.0
_PROBE = "import ensurepip, sys, venv; print('.'.join(map(str, sys.version_info[:3])), sys._base_executable)"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """`version` with three numbers, as 3.11.7."""

    version: str
    path: Path

    @property
    def minor(self) -> str:
        """As 3.11."""
        return self.version.rpartition(".")[0]


def probe(command: str) -> Interpreter | None:
    """What `command` is; None for what does not start, or cannot make environments (Debian has that in a package of its own)."""
    try:
        done = subprocess.run([command, "-I", "-c", _PROBE], capture_output=True, text=True, timeout=PROBE_TIMEOUT, check=True)
        version, _, path = done.stdout.strip().partition(" ")
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return Interpreter(version, Path(path)) if path else None


def find(versions: Iterable[str], look: Callable[[str], Interpreter | None] = probe) -> Interpreter:
    """The interpreter that runs this, where it is one of `versions`, else the first of these on PATH. Raises EnvironmentFailed."""
    wanted = list(versions)
    tried = [sys.executable, *(f"python{version}" for version in wanted)]
    for command in tried:
        found = look(command)
        if found is not None and found.minor in wanted:
            return found
    raise EnvironmentFailed(
        f"it needs Python {' or '.join(wanted)}, and none of these is one that can make environments: {', '.join(tried)}: "
        f"install one (Debian and Ubuntu: with its package python{wanted[0]}-venv)"
    )
