"""Reading the log in the order of log_time, over all its segments, while it is written, closed or renamed underneath."""

from __future__ import annotations

import os
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from bus.errors import CorruptLog
from bus.log.closed import Summary, read_chunks, read_summary
from bus.log.contents import Contents
from bus.log.errors import BadRecord, DamagedSegment
from bus.log.folder import Segment, State, known_beginning, known_start, list_segments
from bus.log.groups import Group, Hole, read_across, read_groups, seek
from bus.log.records import Beginning, Channels, Entry, Query, cut_to, messages

T = TypeVar("T")

OnDamage = Callable[[DamagedSegment], None]
"""Hears of a place where entries may be missing. Where it returns, reading goes on behind it."""

MOVES = 20  # times in a row that a segment may vanish between being listed and opened


class Live(NamedTuple):
    """What the writer knows of its last segment: synced bytes, their last log_time, sparse index (log_time, file offset)."""

    number: int
    end: int
    last: int
    places: list[tuple[int, int]]


def stop(damage: DamagedSegment) -> None:
    """Ends reading where the log is damaged."""
    raise damage


def read_folder(
    folder: Path,
    *,
    topics: Sequence[str] = (),
    after: int = 0,
    until: int | None = None,
    limit: int | None = None,
    on_damage: OnDamage = stop,
) -> Iterator[Entry]:
    """Entries with log_time (ns) in (after, until], oldest first, at most `limit`; no lock is needed, nor a recorder.

    `topics` are names, or prefixes that end in `.`; none: all. Of a segment that is being written, whole groups are read,
    the last of which may not be synced yet. Raises what `on_damage` raises, by itself DamagedSegment; CorruptLog, OSError.
    """
    return islice(read_log(folder, Query(tuple(topics), after, until), on_damage), limit)


def read_log(folder: Path, query: Query, on_damage: OnDamage, live: Callable[[], Live] | None = None) -> Iterator[Entry]:
    """As read_folder; with `live`, only what the writer has synced."""
    return read_past_damage(lambda query: _read_moving(folder, query, live), query, on_damage)


def read_past_damage(read: Callable[[Query], Iterator[Entry]], query: Query, on_damage: OnDamage) -> Iterator[Entry]:
    """What `read` yields for the query, and behind each damaged place what it yields from there on."""
    while True:
        try:
            yield from read(query)
            return
        except DamagedSegment as damage:
            on_damage(damage)
            if damage.resume_after is None or damage.resume_after <= query.after:
                return
            query = query._replace(after=damage.resume_after)


def _read_moving(folder: Path, query: Query, live: Callable[[], Live] | None) -> Iterator[Entry]:
    moves = 0
    while moves < MOVES:
        try:
            for entry in _read_once(folder, query, live() if live else None):
                query, moves = query._replace(after=entry.log_time), 0
                yield entry
            return
        except FileNotFoundError:  # closed, or removed as too old: the list was out of date
            moves += 1
    raise _vanished(folder)


def _read_once(folder: Path, query: Query, live: Live | None) -> Iterator[Entry]:
    segments = list_segments(folder)
    if live is not None:
        segments = [segment for segment in segments if segment.number <= live.number]
    for place in range(_first_place(segments, query.after), len(segments)):
        if query.until is not None and _start_before(segments, place) >= query.until:
            return
        behind = segments[place + 1 :]
        following = known_beginning(behind[0]) if behind else None
        try:
            yield from read_segment(segments[place], following, query, live)
        except DamagedSegment as error:
            if error.resume_after is not None:
                raise
            raise DamagedSegment(error.path, error.offset, error.why, _first_start(behind)) from error


def _first_place(segments: Sequence[Segment], after: int) -> int:
    """The first segment that can hold something above `after`."""
    if not after:
        return 0
    place = bisect_right(range(len(segments)), after, key=lambda place: _start_before(segments, place)) - 1
    while place > 0 and known_start(segments[place]) is None:
        place -= 1
    return max(place, 0)


def _first_start(segments: Sequence[Segment]) -> int | None:
    """The start of the first of these segments that has one which can be read."""
    return next((start for segment in segments if (start := known_start(segment)) is not None), None)


def _start_before(segments: Sequence[Segment], place: int) -> int:
    """The start of a segment, or of the nearest earlier one whose start can be read."""
    return next((start for before in range(place, -1, -1) if (start := known_start(segments[before])) is not None), 0)


def look_again(folder: Path, look: Callable[[], T]) -> T:
    """What `look` finds in the folder, looked for anew where a segment vanished from under it: closed, or removed as too old."""
    for _ in range(MOVES):
        with suppress(FileNotFoundError):
            return look()
    raise _vanished(folder)


def _vanished(folder: Path) -> CorruptLog:
    return CorruptLog(f"{folder}: segments vanished {MOVES} times in a row while being read; is something else removing them?")


def read_segment(segment: Segment, following: Beginning | None, query: Query, live: Live | None = None) -> Iterator[Entry]:
    """The entries of one segment; `following` is where the next one begins, if known. Raises DamagedSegment, OSError."""
    fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if segment.state is State.CLOSED:
            yield from read_chunks(segment, fd, _summary(segment, fd, following), query)
        elif live is not None and segment.number == live.number and segment.state is State.OPEN:
            start = _self_contained(fd, _place(live.places, query.after), live.end)
            yield from _Groups(segment, fd, live.end, live.last).entries(start, {}, query)
        else:
            yield from _read_unchunked(segment, fd, following, query)
    finally:
        os.close(fd)


def read_whole(segment: Segment, following: Beginning | None, contents: Contents) -> Iterator[Group]:
    """The groups of a segment without chunks, each once `contents` has absorbed it. Raises DamagedSegment, OSError."""

    def absorb(group: Group) -> list[Group]:
        contents.absorb(group)
        return [group]

    fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        groups, _ = _groups(segment, fd, following)
        yield from groups.read(0, Query(), absorb)
    finally:
        os.close(fd)


def _read_unchunked(segment: Segment, fd: int, following: Beginning | None, query: Query) -> Iterator[Entry]:
    groups, names = _groups(segment, fd, following)
    start = seek(fd, groups.end, query.after)
    yield from groups.entries(start if names else _self_contained(fd, start, groups.end), names, query)


def _groups(segment: Segment, fd: int, following: Beginning | None) -> tuple[_Groups, Channels]:
    """How far to read, and the channels that a summary names."""
    if segment.state is not State.DONE:
        final = None if following is None else following.after
        return _Groups(segment, fd, cut_to(os.fstat(fd).st_size, following), final), {}
    summary = _summary(segment, fd, following)
    return _Groups(segment, fd, summary.data_end, summary.statistics.message_end_time), summary.names


def _summary(segment: Segment, fd: int, following: Beginning | None) -> Summary:
    try:
        return read_summary(fd)
    except BadRecord as error:
        raise DamagedSegment(segment.path, error.offset, str(error), None if following is None else following.after) from error


def _place(places: list[tuple[int, int]], after: int) -> int:
    """The file offset of a group at or before the first that holds something above `after`."""
    place = bisect_right(places, (after, sys.maxsize)) - 1
    return places[place][1] if place >= 0 else 0


def _self_contained(fd: int, start: int, end: int) -> int:
    """`start`, if the group there declares its channels; the beginning for a file of before groups did."""
    group = next(read_groups(fd, start, end), None)
    if group is None:
        return start
    try:
        list(messages(group.body, group.heads, {}, Query()))
    except BadRecord:
        return 0
    return start


class _Groups(NamedTuple):
    """The groups of an unchunked segment up to file offset `end`; `final` is the log_time it must reach, None: unknown."""

    segment: Segment
    fd: int
    end: int
    final: int | None

    def entries(self, start: int, names: Channels, query: Query) -> Iterator[Entry]:
        """As `read`; `names` are channels that may be declared before `start`."""
        return self.read(start, query, lambda group: list(messages(group.body, group.heads, names, query)))

    def read(self, start: int, query: Query, take: Callable[[Group], list[T]]) -> Iterator[T]:
        """What `take` makes of each group; it raises BadRecord for one that cannot be read without what is lost.

        Raises DamagedSegment where something above `query.after` is missing, after all that lies before it.
        """
        reached, final, hole = query.after, self.final or 0, None
        for part in self._parts(start):
            first, last = (0, 0) if isinstance(part, Hole) else part.times()
            found = None if isinstance(part, Hole) else _taken(part, take)
            if found is None:
                hole, final = hole or part, max(final, last)
                continue
            if hole and first and query.after < first - 1:
                raise self._damaged(hole.start, "bytes that are no group", first - 1)
            if query.until is not None and first > query.until:
                return
            reached, hole = max(reached, last), None if first else hole
            yield from found
        if reached < final and (known_start(self.segment) or 0) < final:
            raise self._damaged(hole.start if hole else self.end, "its last groups are missing", final)

    def _parts(self, start: int) -> Iterator[Group | Hole]:
        try:
            yield from read_across(self.fd, start, self.end)
        except BadRecord as error:
            raise self._damaged(error.offset, str(error), self.final) from error

    def _damaged(self, offset: int, why: str, resume_after: int | None) -> DamagedSegment:
        return DamagedSegment(self.segment.path, offset, why, resume_after)


def _taken(group: Group, take: Callable[[Group], list[T]]) -> list[T] | None:
    """None for a group whose channels were declared in bytes that are lost."""
    try:
        return take(group)
    except BadRecord:
        return None
