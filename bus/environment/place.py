"""Where an agent's environment lies, and whether what lies there is what its lock asks for."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import Struct

from bus.environment.errors import EnvironmentFailed
from bus.environment.interpreter import Interpreter
from bus.environment.lockfile import Lock, digest_of
from bus.home import CHECKOUT
from bus.topic import NAME_PATTERN

AGENTS = CHECKOUT / "agents"
ENVIRONMENTS = CHECKOUT / ".venvs"
LOCK = "requirements.lock"
GIB = 1 << 30


class Stamp(Struct, frozen=True, kw_only=True):
    """What an environment was made from: it is written last, so what has none is unfinished.

    `lock` is the lock's SHA-256, `python` the version of the interpreter at `interpreter` (links resolved).
    """

    lock: str
    python: str
    interpreter: str
    checkout: str


@dataclass(frozen=True, slots=True)
class Place:
    """The environment of the agent `name`. Raises ValueError for what is no name: a folder of this name is removed."""

    name: str
    agents: Path = AGENTS
    environments: Path = ENVIRONMENTS

    def __post_init__(self) -> None:
        if not re.match(NAME_PATTERN, self.name):
            raise ValueError(f"agent {self.name!r}: want up to 63 lower-case letters, digits, - and _")

    @property
    def lock(self) -> Path:
        return self.agents / self.name / LOCK

    @property
    def folder(self) -> Path:
        return self.environments / self.name

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def log(self) -> Path:
        """All that venv and pip said while it was made."""
        return self.folder / "making.log"

    @property
    def turn(self) -> Path:
        """The lock of whoever makes it."""
        return self.environments / f"{self.name}.lock"

    @property
    def scratch(self) -> Path:
        """For what pip unpacks: a disk in memory at /tmp may be too small, and what a killed pip leaves goes with the folder."""
        return self.folder / "tmp"

    @property
    def _stamp(self) -> Path:
        return self.folder / "made-from.json"

    def missing(self) -> str | None:
        """Why it is not ready, in words; None where it is."""
        if not self.lock.is_file():
            return f"{self.name} ships no {LOCK}"
        try:
            stamp = msgspec.json.decode(self._stamp.read_bytes(), type=Stamp)
        except FileNotFoundError:
            return "not finished" if self.folder.exists() else "not made"
        except (OSError, msgspec.MsgspecError) as error:
            return f"{self._stamp} cannot be read: {error}"
        return self._outdated(stamp)

    def _outdated(self, stamp: Stamp) -> str | None:
        if stamp.lock != digest_of(self.lock):
            return "made from another lock"
        if stamp.checkout != str(CHECKOUT):
            return f"made for the checkout {stamp.checkout}"
        if not self.python.exists() or str(self.python.resolve()) != stamp.interpreter:
            return f"its interpreter, {stamp.interpreter}, is gone"
        return None

    def clear(self) -> None:
        """Remove what is there, the stamp first: what is half removed must not look whole. Raises OSError."""
        self._stamp.unlink(missing_ok=True)
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def check_room(self, free_gib: float) -> None:
        """Raises EnvironmentFailed where the disk has less room than this."""
        self.environments.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.environments).free
        if free < free_gib * GIB:
            raise EnvironmentFailed(f"it needs {free_gib:g} GiB of free disk, and {self.environments} has {free / GIB:.1f}: make room")

    def finish(self, lock: Lock, made_of: Interpreter) -> None:
        """Let the checkout's packages be imported there, and say what it was made from. Raises OSError."""
        packages = self.folder / "lib" / f"python{made_of.minor}" / "site-packages"
        (packages / "checkout.pth").write_text(f"{CHECKOUT}\n")
        shutil.rmtree(self.scratch)
        stamp = Stamp(lock=lock.digest, python=made_of.version, interpreter=str(self.python.resolve()), checkout=str(CHECKOUT))
        written = self._stamp.with_suffix(".new")
        written.write_bytes(msgspec.json.encode(stamp))
        written.rename(self._stamp)


def ready(name: str) -> Path | None:
    """The interpreter of the agent's environment; None where that is not made yet, or is outdated (`Place.missing` says why)."""
    place = Place(name)
    return place.python if place.missing() is None else None


def asked_for(agents: Path = AGENTS) -> list[str]:
    """The agents that ship a lock."""
    return sorted(lock.parent.name for lock in agents.glob(f"*/{LOCK}"))
