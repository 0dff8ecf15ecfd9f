"""Every durable stream through the whole log: seq 1, 2, 3… once each, as far as the log's tables say, and what explains a hole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

from bus.cli.verify.finding import RESTORE, Finding
from bus.cli.verify.segments import Layout
from bus.cli.vocabulary import topics
from bus.log.records import Stream
from bus.topic import DURABLE
from bus.wire import stream_of
from schemas.system import Gap

MOST_HOLES = 10_000
"""Holes that are told apart; of those that come after them, the ones of a stream in one segment are told as one."""


@dataclass(slots=True)
class _Position:
    """How far a stream is: its last seq, and the log time of that."""

    last: int = 0
    time: int = 0
    repeats: int = 0


@dataclass(frozen=True, slots=True)
class Hole:
    """Events `first` to `last` of a stream, but for `present` of them, that are not in the log between two log times (0: its beginning)."""

    stream: Stream
    first: int
    last: int
    after: int
    until: int
    present: int = 0

    @property
    def count(self) -> int:
        return self.last - self.first + 1 - self.present


@dataclass
class Streams:
    """Follows the streams; what it keeps grows with them, with segments and with what is wrong, not with the events.

    `begun` is the log before any event of it was read: as far as its tables say, the streams must come.
    """

    begun: Layout
    positions: dict[Stream, _Position] = field(default_factory=dict)
    holes: list[Hole] = field(default_factory=list)
    merged: dict[tuple[Stream, int], Hole] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)

    def take(self, stream: Stream, seq: int, log_time: int) -> None:
        """One event of a durable stream, in log order."""
        position = self.positions.setdefault(stream, _Position())
        if seq <= position.last:
            position.repeats += 1
            return
        if seq > position.last + 1:
            self._note(Hole(stream, position.last + 1, seq - 1, position.time, log_time))
        position.last, position.time = seq, log_time

    def findings(self, layout: Layout) -> Iterator[Finding]:
        """What does not hold, with the segments as they are after the last event was read."""
        for gap in self.gaps:
            yield Finding(
                kind="lost",
                where=f"{gap.source}/{gap.epoch}",
                what=f"seq {gap.first} to {gap.last} were lost: their publisher no longer held them when the recorder asked (recorder.gap)",
                mend="nothing brings them back; bus tail recorder.gap --since 1d shows what else was lost then",
            )
        yield from self._missing(layout)
        for (source, epoch), position in self.positions.items():
            if position.repeats:
                what = f"{position.repeats} events are there twice, or behind newer ones"
                yield Finding(
                    kind="repeated", where=f"{source}/{epoch}", what=what, mend="count each seq once; the recorder never writes so"
                )

    def _missing(self, layout: Layout) -> Iterator[Finding]:
        """Holes that no gap event explains, and no retention: in each thinned segment it explains as many events as it took there."""
        claimed: Counter[int] = Counter()
        for place, hole in self._unexplained(layout):
            if layout.segments[place].expired:
                claimed[place] += hole.count
            else:
                yield _not_there(hole, layout.segments[place].path.name)
        for place, count in sorted(claimed.items()):
            taken = _numbered(layout.segments[place].expired)
            if count > taken:
                what = f"{count} events of durable streams are not there, and retention says that it took {taken}"
                yield Finding(kind="missing", where=layout.segments[place].path.name, what=what, mend=RESTORE)

    def _unexplained(self, layout: Layout) -> Iterator[tuple[int, Hole]]:
        """What no gap event covers, each part with the place of the segment that it belongs to."""
        gaps: dict[Stream, list[Gap]] = {}
        for gap in sorted(self.gaps, key=lambda each: each.first):
            gaps.setdefault((gap.source, gap.epoch), []).append(gap)
        for hole in chain(self.holes, self.merged.values(), self._cut_off()):
            for part in _without(hole, gaps.get(hole.stream, [])):
                yield from _by_segment(part, layout)

    def _cut_off(self) -> Iterator[Hole]:
        """What the tables name behind the last event of a stream that is there."""
        ends: dict[Stream, tuple[int, int]] = {}
        for start, segment in zip(self.begun.starts, self.begun.segments, strict=True):
            for stream, last in segment.streams.items():
                if stream not in ends or last > ends[stream][0]:
                    ends[stream] = last, start + 1
        for stream, (last, until) in ends.items():
            position = self.positions.get(stream, _Position())
            if last > position.last:
                yield Hole(stream, position.last + 1, last, position.time, until)

    def _note(self, hole: Hole) -> None:
        if len(self.holes) < MOST_HOLES or not self._is_within_one(hole):
            self.holes.append(hole)
            return
        key = hole.stream, self.begun.place(hole.until)
        before = self.merged.get(key, hole)
        between = max(hole.first - before.last - 1, 0)
        self.merged[key] = replace(before, last=hole.last, until=hole.until, present=before.present + between)

    def _is_within_one(self, hole: Hole) -> bool:
        """Whether a hole lies in one segment; of the last one, others may have been made by now."""
        place = self.begun.place(hole.until)
        return self.begun.place(hole.after) == place < len(self.begun.segments) - 1


def _not_there(hole: Hole, segment: str) -> Finding:
    source, epoch = hole.stream
    which = f"{hole.count} events from seq {hole.first} to {hole.last}" if hole.present else f"seq {hole.first} to {hole.last}"
    what = f"{which} are not in the log, and nothing explains it (they belong before {segment} ends)"
    return Finding(kind="missing", where=f"{source}/{epoch}", what=what, mend=RESTORE)


def _numbered(expired: dict[str, int]) -> int:
    """Expired events that counted in durable streams. A topic that nobody declares may have."""
    declared = topics()
    return sum(
        count for topic, count in expired.items() if stream_of(topic, declared[topic].delivery if topic in declared else DURABLE) == DURABLE
    )


def _without(hole: Hole, gaps: list[Gap]) -> Iterator[Hole]:
    """What is left of a hole outside of the gaps of its stream, which rise."""
    left = list(_outside(hole, gaps))
    if not hole.present:
        yield from (replace(hole, first=first, last=last) for first, last in left)
        return
    covered = hole.last - hole.first + 1 - sum(last - first + 1 for first, last in left)  # by gaps, of which nothing is present
    if hole.count > covered:
        yield replace(hole, present=hole.present + covered)


def _outside(hole: Hole, gaps: list[Gap]) -> Iterator[tuple[int, int]]:
    first = hole.first
    for gap in gaps:
        if gap.first > hole.last:
            break
        if gap.first > first:
            yield first, gap.first - 1
        first = max(first, gap.last + 1)
    if first <= hole.last:
        yield first, hole.last


def _by_segment(hole: Hole, layout: Layout) -> Iterator[tuple[int, Hole]]:
    """The parts of a hole with the place of their segment: each segment's table says how far the stream had come at its end."""
    first, until = hole.first, layout.place(hole.until)
    if not hole.present:  # else it lies in one segment
        for place in range(layout.place(hole.after), until):
            reached = min(layout.segments[place].streams.get(hole.stream, 0), hole.last)
            if reached >= first:
                yield place, replace(hole, first=first, last=reached)
                first = reached + 1
    if first <= hole.last:
        yield until, replace(hole, first=first)
