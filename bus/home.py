"""Where an appliance lives: BUS_HOME with its sockets, locks, artifacts and caches."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bus.errors import BusError
from bus.log.disk import make_folder

CHECKOUT = Path(__file__).resolve().parent.parent
"""The folder that this code was installed from."""

_LONGEST_SOCKET_NAME = "/events.out"
_SOCKET_PATH_LIMIT = 103 if sys.platform == "darwin" else 107  # sockaddr_un, less the final NUL


class NoHome(BusError):
    """No folder can be used as BUS_HOME, or one of its private folders is not ours alone."""


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of one appliance. Nothing that a run writes lies outside `root`, but for sockets whose path would be too long."""

    root: Path

    @property
    def run(self) -> Path:
        """Sockets and locks, 0700."""
        return self.root / "run"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def log(self) -> Path:
        return self.artifacts / "log"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def settings(self) -> Path:
        return self.root / "bus.toml"

    @property
    def procfile(self) -> Path:
        """The list of processes: this home's own, else that of the installed checkout."""
        own = self.root / "Procfile"
        return own if own.is_file() else CHECKOUT / "Procfile"

    def lock(self, name: str) -> Path:
        """The lock file that the one hub, recorder or agent called `name` holds."""
        return self.run / f"{name}.lock"

    def sockets(self, environ: Mapping[str, str] = os.environ) -> Path:
        """The folder of the hub's sockets: `run`, or a private short one where `run` is over the system's limit."""
        if len(os.fsencode(self.run)) + len(_LONGEST_SOCKET_NAME) <= _SOCKET_PATH_LIMIT:
            return self.run
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        runtime = environ.get("XDG_RUNTIME_DIR")
        base = Path(runtime) / "zeropoint" if runtime else Path(f"/tmp/zeropoint-{os.getuid()}")
        return base / digest

    def prepare(self) -> None:
        """Make the folders. Raises NoHome for a private folder that others can reach."""
        for folder in (self.artifacts, self.log, self.cache):
            make_folder(folder)
        sockets = self.sockets()
        for folder in (self.run,) if sockets == self.run else (self.run, sockets.parent, sockets):
            _make_private(folder)


def find_home(environ: Mapping[str, str] = os.environ, start: Path | None = None) -> Home:
    """BUS_HOME, else the nearest parent folder with our Procfile, else the checkout that was installed.

    Raises NoHome.
    """
    if named := environ.get("BUS_HOME"):
        return Home(Path(named).resolve())
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents, CHECKOUT):
        if _is_ours(folder / "Procfile"):
            return Home(folder)
    raise NoHome(f"no appliance at or above {here}: go to its checkout, or set BUS_HOME to a folder")


def _is_ours(procfile: Path) -> bool:
    try:
        return "bus run hub" in procfile.read_text()
    except (OSError, UnicodeDecodeError):
        return False


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise NoHome(f"{folder} is not a folder of ours: remove it")
    if stat.S_IMODE(status.st_mode) != 0o700:
        folder.chmod(0o700)
