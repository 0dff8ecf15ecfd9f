"""The last event of each topic, replays left out: remembered from the commits, else looked up from the log's end backwards."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bus.log.closed import Summary, read_chunks, read_summary
from bus.log.errors import BadRecord, DamagedSegment
from bus.log.folder import Segment, State, known_beginning, list_segments
from bus.log.reader import Live, OnDamage, look_again, read_past_damage, read_segment
from bus.log.records import Beginning, Entry, Query, is_replay

_MAX_TOPICS = 4096  # every command line that calls has a reply topic of its own: they must not pile up in memory


class Newest:
    """Written by the committing thread, read by any."""

    def __init__(self, folder: Path, live: Callable[[], Live], committed: dict[str, Entry]) -> None:
        self._folder = folder
        self._live = live
        self._committed = committed
        self._looked_up: dict[str, Entry | None] = {}  # only of topics that were not committed since
        self._forgotten = 0  # topics dropped so far: what was looked up before a drop may be older than what was dropped

    def put(self, entries: Iterable[Entry]) -> None:
        """Takes in the last events of a committed group's topics, in their order."""
        committed = self._committed
        for entry in entries:
            committed[entry.topic] = entry
        while len(committed) > _MAX_TOPICS:
            del committed[next(iter(committed))]
            self._forgotten += 1
            self._looked_up.clear()

    def get(self, topic: str, on_damage: OnDamage) -> Entry | None:
        """The last committed event of a topic, as far as it can be read. Raises what `on_damage` raises, OSError."""
        found = self._committed.get(topic)
        if found is None and topic in (looked_up := self._looked_up):
            found = looked_up.get(topic)
            return self._committed.get(topic, found)
        if found is None:
            before = self._forgotten
            found = last_entry(self._folder, topic, self._live, on_damage)
            if before == self._forgotten and len(self._looked_up) < _MAX_TOPICS:
                self._looked_up[topic] = found
        return found


def last_entry(folder: Path, topic: str, live: Callable[[], Live], on_damage: OnDamage) -> Entry | None:
    """The last synced event of a topic, from the files. Raises what `on_damage` raises, CorruptLog, OSError."""
    return look_again(folder, lambda: _search(folder, topic, live(), on_damage))


def _search(folder: Path, topic: str, live: Live, on_damage: OnDamage) -> Entry | None:
    following = None
    for segment in reversed([segment for segment in list_segments(folder) if segment.number <= live.number]):
        found = _last_in(segment, following, Query((topic,)), live, on_damage)
        if found is not None:
            return found
        following = known_beginning(segment)
    return None


def _last_in(segment: Segment, following: Beginning | None, query: Query, live: Live, on_damage: OnDamage) -> Entry | None:
    if segment.state is State.CLOSED:
        return _last_in_closed(segment, query, on_damage)
    return _newest_of(read_past_damage(lambda query: read_segment(segment, following, query, live), query, on_damage))


def _last_in_closed(segment: Segment, query: Query, on_damage: OnDamage) -> Entry | None:
    fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        summary = read_summary(fd)
        for begin, end in _chunks_backwards(summary, query):
            stretch = query._replace(after=begin - 1, until=end)
            found = _newest_of(read_past_damage(lambda stretch: read_chunks(segment, fd, summary, stretch), stretch, on_damage))
            if found is not None:
                return found
    except BadRecord as error:
        on_damage(DamagedSegment(segment.path, error.offset, str(error)))
    finally:
        os.close(fd)
    return None


def _newest_of(entries: Iterable[Entry]) -> Entry | None:
    found = deque((entry for entry in entries if not is_replay(entry.data)), maxlen=1)
    return found[0] if found else None


def _chunks_backwards(summary: Summary, query: Query) -> Iterator[tuple[int, int]]:
    """First and last log_time of the chunks with messages that `query` wants, the last chunk first."""
    wanted = {number for number, (topic, _) in summary.names.items() if query.wants(topic)}
    for chunk in reversed(summary.chunks):
        if wanted.intersection(chunk.message_index_offsets):
            yield chunk.message_start_time, chunk.message_end_time
