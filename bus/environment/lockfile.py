"""Reads an agent's requirements.lock: a version for each package, and a table at its head of what else its environment needs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from bus.environment.errors import BadLock

_TABLE = re.compile(r"^# /// environment\n((?:#.*\n)*?)# ///$", re.MULTILINE)
_PIN = re.compile(r"([A-Za-z0-9][\w.-]*)==[\w.!]+( ; .+)?")


class Needs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `environment`: TOML in comments, as PEP 723 has it in scripts.

    `python`: the versions that will do, the preferred one first. `free_gib`: the free disk that making it takes, in GiB.
    `with_dependencies`: packages that are installed with what they depend on, which differs by machine; all others as they stand in the
    lock. `from_source`: those of which there is no wheel, built with what the lock has; of all others a wheel is installed, or nothing.
    """

    python: Annotated[list[Annotated[str, Meta(pattern=r"^3\.\d{1,2}$")]], Meta(min_length=1)]
    free_gib: float
    with_dependencies: list[str] = []
    from_source: list[str] = []


@dataclass(frozen=True, slots=True)
class Lock:
    """`pins` are its requirements by normalised name, `digest` the SHA-256 of the file."""

    digest: str
    needs: Needs
    pins: dict[str, str]


@dataclass(frozen=True, slots=True)
class Install:
    """One call of pip: what it does, in words, and what `pip install` is given."""

    doing: str
    arguments: tuple[str, ...]


def normal(name: str) -> str:
    """A package's name as indexes compare names (the specification "Names and normalization")."""
    return re.sub(r"[-_.]+", "-", name).lower()


def digest_of(lock: Path) -> str:
    """Raises OSError."""
    return hashlib.sha256(lock.read_bytes()).hexdigest()


def read_lock(path: Path) -> Lock:
    """Raises BadLock, OSError."""
    data = path.read_bytes()
    try:
        text = data.decode()
        needs = _needs(text)
        pins = _pins(text)
        _check_named(needs, pins)
    except (ValueError, msgspec.MsgspecError) as error:
        raise BadLock(f"{path}: {error}") from error
    return Lock(hashlib.sha256(data).hexdigest(), needs, pins)


def installs(lock: Lock, constraints: Path) -> list[Install]:
    """What pip is to do, in this order; `constraints` is a file that has `constraints_of` the lock. Pure."""
    first = [normal(name) for name in lock.needs.with_dependencies]
    built = [normal(name) for name in lock.needs.from_source]
    plain = [name for name in lock.pins if name not in {*first, *built}]
    steps = []
    if first:
        bounds = ("--only-binary=:all:", "--constraint", str(constraints))
        steps.append(_install(lock, f"installing {', '.join(lock.needs.with_dependencies)}", first, *bounds))
    if plain:
        steps.append(_install(lock, f"installing {len(plain)} packages", plain, "--no-deps", "--only-binary=:all:"))
    if built:
        steps.append(
            _install(lock, f"building {', '.join(lock.needs.from_source)}", built, "--no-deps", "--no-build-isolation", "--use-pep517")
        )
    return steps


def constraints_of(lock: Lock) -> str:
    """What the packages with dependencies may bring, but for these: of a version that is not to be had pip would say that it conflicts."""
    first = {normal(name) for name in lock.needs.with_dependencies}
    return "".join(f"{pin}\n" for name, pin in lock.pins.items() if name not in first)


def _install(lock: Lock, doing: str, names: Collection[str], *options: str) -> Install:
    return Install(doing, (*options, *(lock.pins[name] for name in names)))


def _needs(text: str) -> Needs:
    found = _TABLE.search(text)
    if found is None:
        raise ValueError("no table `# /// environment` … `# ///` says which Python it needs")
    return msgspec.toml.decode("".join(line.removeprefix("#").removeprefix(" ") for line in found[1].splitlines(keepends=True)), type=Needs)


def _pins(text: str) -> dict[str, str]:
    pins: dict[str, str] = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        pin = _PIN.fullmatch(line)
        if pin is None:
            raise ValueError(f"{line!r}: want NAME==VERSION")
        if normal(pin[1]) in pins:
            raise ValueError(f"{pin[1]} stands in it twice")
        pins[normal(pin[1])] = line
    return pins


def _check_named(needs: Needs, pins: dict[str, str]) -> None:
    for name in (*needs.with_dependencies, *needs.from_source):
        if normal(name) not in pins:
            raise ValueError(f"{name} is named in its table, and has no version below")
