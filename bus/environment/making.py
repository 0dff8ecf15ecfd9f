"""Makes an agent's environment, step by step."""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Sequence
from pathlib import Path

from bus.environment.command import OVERALL, POLL, run
from bus.environment.errors import EnvironmentFailed
from bus.environment.interpreter import find
from bus.environment.lockfile import constraints_of, installs, read_lock
from bus.environment.place import Place
from bus.errors import LockHeld
from bus.lifecycle import EnvironmentChanged
from bus.lock import hold

_PIP = ("install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off")
_SHOWN = re.compile(r"\s*(Collecting|Downloading|Using cached|Building wheel|Installing collected packages)\b.*")
_FOLDERS = re.compile(r"\S+/")
_LONGEST = 100


def make(place: Place) -> Generator[EnvironmentChanged]:
    """Have the environment. Yields how far it is, at least every POLL seconds and last that it is ready.

    Whoever closes this ends it, and what is unfinished then is made anew the next time. Raises EnvironmentFailed, OSError.
    """
    until = time.monotonic() + OVERALL
    while place.missing() is not None:
        try:
            with hold(place.turn, f"the making of {place.folder}"):
                if place.missing() is not None:
                    yield from _make(place)
        except LockHeld as error:
            if time.monotonic() > until:
                raise EnvironmentFailed(f"{error}, for {OVERALL:.0f} s: end it") from error
            yield EnvironmentChanged(agent=place.name, state="making", doing="waiting for another process, which makes it")
            time.sleep(POLL)
    yield EnvironmentChanged(agent=place.name, state="ready")


def _make(place: Place) -> Generator[EnvironmentChanged]:
    lock = read_lock(place.lock)
    constraints = place.scratch / "constraints.txt"
    steps = installs(lock, constraints)
    total = 1 + len(steps)
    yield _step(place, 0, total, "looking for a Python")
    python = find(lock.needs.python)
    place.clear()
    place.check_room(lock.needs.free_gib)
    place.scratch.mkdir(parents=True)
    constraints.write_text(constraints_of(lock), encoding="utf-8")
    yield from _run(place, (0, total, f"starting from Python {python.version}"), python.path, "venv", [str(place.folder)])
    for done, step in enumerate(steps, 1):
        yield from _run(place, (done, total, step.doing), place.python, "pip", [*_PIP, *step.arguments])
    place.finish(lock, python)
    if (reason := place.missing()) is not None:
        raise EnvironmentFailed(f"it was made, and is {reason}")


def _run(place: Place, step: tuple[int, int, str], python: Path, module: str, arguments: Sequence[str]) -> Generator[EnvironmentChanged]:
    done, total, doing = step
    change = _step(place, done, total, doing)
    with place.log.open("a", encoding="utf-8") as log:
        for line in run(python, module, arguments, place.scratch):
            if line:
                log.write(f"{line}\n")
            if shown := shorten(line):
                change = _step(place, done, total, f"{doing}: {shown}")
            yield change


def _step(place: Place, done: int, total: int, doing: str) -> EnvironmentChanged:
    return EnvironmentChanged(agent=place.name, state="making", done=done, total=total, doing=doing)


def shorten(line: str) -> str | None:
    """What of a line of pip a person follows, without folders and addresses; None for most of them. Pure."""
    if not _SHOWN.fullmatch(line):
        return None
    short = _FOLDERS.sub("", line.strip())
    return short if len(short) <= _LONGEST else f"{short[: _LONGEST - 1]}…"
