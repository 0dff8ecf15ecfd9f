"""What projections share in reading the log: which entries are new to them, and what an entry says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import structlog

from bus.errors import CorruptFrame
from bus.event import Event
from bus.log.log import Log
from bus.log.reader import OnDamage
from bus.log.records import Entry
from bus.topic import Topic
from bus.wire import decode_envelope, to_event

Topics = Mapping[str, Topic[Any]]  # Any: the struct of each

_log = structlog.get_logger()


class News(NamedTuple):
    """The next entries, and the log time up to which there are no others. `is_all` is False where more wait than were asked for."""

    entries: list[Entry]
    reached: int
    is_all: bool


def by_name(*topics: Topic[Any]) -> Topics:
    return {topic.name: topic for topic in topics}


def last_time(log: Log, topics: Iterable[str], on_damage: OnDamage) -> int:
    """The log time (ns) of the newest event of these topics, replays left out; 0 where there is none."""
    return max((entry.log_time for name in topics if (entry := log.last(name, on_damage)) is not None), default=0)


def news(log: Log, topics: Topics, after: int, until: int, limit: int, on_damage: OnDamage) -> News:
    """At most `limit` entries with a log time in (after, until], oldest first. Raises CorruptLog, OSError.

    It is asked at each commit. Mostly nothing is new, which the newest times say without a look at the files, and then those of other
    topics are never read.
    """
    if last_time(log, topics, on_damage) <= after:
        return News([], max(after, until), True)
    entries = list(log.read(topics=list(topics), after=after, until=until, limit=limit, on_damage=on_damage))
    is_all = len(entries) < limit
    return News(entries, max(after, until) if is_all else entries[-1].log_time, is_all)


def event_of(entry: Entry, topics: Topics) -> Event[Any] | None:  # Any: the struct of one of them
    """What an entry says. None: it does not decode, which is logged, or is a replay."""
    try:
        event = to_event(entry.topic, decode_envelope(entry.topic, entry.data), topics[entry.topic].type)
    except CorruptFrame as error:
        _log.warning("not projected", reason=str(error))
        return None
    return None if event.replay else event


def events(entries: Iterable[Entry], topics: Topics) -> Iterator[tuple[Entry, Event[Any]]]:  # Any: as above
    """Those entries that say something, with what they say."""
    return ((entry, event) for entry in entries if (event := event_of(entry, topics)) is not None)
