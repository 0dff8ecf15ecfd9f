"""What is in the engine's level: artifacts/wondercraft/scenes/scene.json, of the newest pages of `scene.actors`. It belongs to no run.

The file has the log time of its last page: it says where to go on after a start.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from agents.recorder.entries import by_name, events, news
from agents.recorder.json_file import write_json
from bus.event import Event
from bus.log.log import Log
from bus.log.reader import OnDamage
from bus.log.records import Entry
from schemas import scene

NAME = "scene.json"
BATCH = 100
"""Pages that are read in one go."""
MOST_PAGES = 1000
"""Of a level: they are kept until the last one is there."""

_log = structlog.get_logger()


class Level(Struct, frozen=True, kw_only=True):
    """A whole level, in the frame of the bus. `time` and `recorded` are those of its last page, in ns since the Unix epoch."""

    engine: str
    time: int
    recorded: int
    count: int
    actors: list[scene.Actor]


class _Place(Struct):
    """What is read of a file that is there."""

    recorded: int


class Pages:
    """Puts the pages of one level together. They come in order, so any other page says that one is missing: then so is the level."""

    def __init__(self) -> None:
        self._of: tuple[str, int, str, int] | None = None
        self._actors: list[scene.Actor] = []
        self._next = 0

    def add(self, event: Event[scene.Actors], recorded: int) -> Level | None:
        """The level, when this was its last page."""
        page = event.data
        of = (event.source, event.epoch, page.engine, page.pages)
        if page.page == 0:
            self._begin(of)
        if of != self._of or page.page != self._next:
            self._of = None
            return None
        self._actors += page.actors
        self._next += 1
        if self._next < page.pages:
            return None
        self._of = None
        return Level(engine=page.engine, time=event.time, recorded=recorded, count=page.count, actors=self._actors)

    def _begin(self, of: tuple[str, int, str, int]) -> None:
        self._of, self._actors, self._next = of, [], 0
        source, _, _, pages = of
        if pages > MOST_PAGES:
            _log.warning("not projected", reason=f"a level of {source} has {pages} pages, and {MOST_PAGES} at most are put together")
            self._of = None


class LevelFile:
    """Keeps the file up with a log, as `beside.Projected`."""

    topics = by_name(scene.ACTORS)

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._pages = Pages()
        self._unwritten: Level | None = None
        self._reached: int | None = None

    def look_again(self) -> None:
        self._reached = None

    def catch_up(self, log: Log, until: int, on_damage: OnDamage) -> None:
        if self._reached is None:
            self._reached = _recorded(self._path)
        found = news(log, self.topics, self._reached, until, BATCH, on_damage)
        self._take(found.entries)
        self._reached = found.reached
        if found.is_all:
            self._write()

    def make_again(self, entries: Iterable[Entry]) -> None:
        """A level that the log has no more stays as it is."""
        self._take(entries)
        self._write()

    def close(self) -> None:
        self._write()

    def _take(self, entries: Iterable[Entry]) -> None:
        for entry, event in events(entries, self.topics):
            self._unwritten = self._pages.add(event, entry.log_time) or self._unwritten

    def _write(self) -> None:
        if self._unwritten is not None:
            write_json(self._path, self._unwritten)
            self._unwritten = None


def _recorded(path: Path) -> int:
    """The log time of what the file says, 0 where it is no such file."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Place).recorded
    except (FileNotFoundError, msgspec.DecodeError):
        return 0
