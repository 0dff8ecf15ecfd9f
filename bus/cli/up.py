"""`bus up`: the whole appliance, by honcho."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from bus.errors import LockHeld
from bus.home import Home, find_home
from bus.lock import is_held


def up() -> None:
    """Start the appliance: every line of its Procfile.

    honcho takes this process's place: Ctrl-C ends everything. Exit code 75: it already runs.

    \b
    bus up
    BUS_HOME=/data/second bus up
    """
    home = find_home()
    if is_held(home.lock("hub")):
        raise LockHeld(f"already running (the hub of {home.root} holds {home.lock('hub')})")
    home.prepare()
    os.execve(sys.executable, honcho_command(home), environment(home, os.environ))


def honcho_command(home: Home) -> list[str]:
    return [sys.executable, "-m", "honcho", "start", "-d", str(home.procfile.parent), "-f", home.procfile.name]


def environment(home: Home, environ: Mapping[str, str]) -> dict[str, str]:
    """The home that was found, and a path on which the Procfile's lines find `bus` without an activated environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', os.defpath)}"
    return {**environ, "BUS_HOME": str(home.root), "PATH": path}
