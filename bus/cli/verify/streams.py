"""Every durable stream through the whole log: seq 1, 2, 3… once each, and what explains a hole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from bus.cli.verify.finding import RESTORE, Finding
from bus.cli.verify.segments import Layout
from bus.log.records import Stream
from schemas.system import Gap

MOST_HOLES = 10_000
"""Holes that are told apart; what comes after them is only counted."""


@dataclass(slots=True)
class _Position:
    """How far a stream is: its last seq, and the log time of that."""

    last: int = 0
    time: int = 0
    repeats: int = 0


@dataclass(frozen=True, slots=True)
class Hole:
    """Events `first` to `last` of a stream that are not in the log between the log times `after` (0: its beginning) and `until`."""

    stream: Stream
    first: int
    last: int
    after: int
    until: int


@dataclass
class Streams:
    """Follows the streams; what it keeps grows with them and with what is wrong, not with the events."""

    positions: dict[Stream, _Position] = field(default_factory=dict)
    holes: list[Hole] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    uncounted: int = 0

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
        """What does not hold."""
        for gap in self.gaps:
            yield Finding(
                kind="lost",
                where=f"{gap.source}/{gap.epoch}",
                what=f"seq {gap.first} to {gap.last} were lost: their publisher no longer held them when the recorder asked (recorder.gap)",
                mend="nothing brings them back; bus tail recorder.gap --since 1d shows what else was lost then",
            )
        for hole in self.holes:
            if not layout.is_thinned(hole.after, hole.until):
                yield from self._unexplained(hole, layout)
        for (source, epoch), position in self.positions.items():
            if position.repeats:
                what = f"{position.repeats} events are there twice, or behind newer ones"
                yield Finding(
                    kind="repeated", where=f"{source}/{epoch}", what=what, mend="count each seq once; the recorder never writes so"
                )
        claimed, taken = self.expired(layout), sum(sum(segment.expired.values()) for segment in layout.segments)
        if claimed > taken:
            what = f"{claimed} events are not there, and retention says that it took {taken}"
            yield Finding(kind="missing", where="thinned segments", what=what, mend=RESTORE)
        if self.uncounted:
            yield Finding(kind="missing", where="other streams", what=f"{self.uncounted} more holes", mend=RESTORE)

    def expired(self, layout: Layout) -> int:
        """Events that retention took."""
        return sum(hole.last - hole.first + 1 for hole in self.holes if layout.is_thinned(hole.after, hole.until))

    def _note(self, hole: Hole) -> None:
        if len(self.holes) < MOST_HOLES:
            self.holes.append(hole)
        else:
            self.uncounted += 1

    def _unexplained(self, hole: Hole, layout: Layout) -> Iterator[Finding]:
        """The parts of a hole that no gap event covers."""
        source, epoch = hole.stream
        for first, last in _without(hole, [gap for gap in self.gaps if (gap.source, gap.epoch) == hole.stream]):
            what = f"seq {first} to {last} are not in the log, and nothing explains it (they belong before {layout.name(hole.until)} ends)"
            yield Finding(kind="missing", where=f"{source}/{epoch}", what=what, mend=RESTORE)


def _without(hole: Hole, gaps: list[Gap]) -> Iterator[tuple[int, int]]:
    """The ranges of a hole outside of the gaps."""
    first = hole.first
    for gap in sorted(gaps, key=lambda each: each.first):
        if gap.first > hole.last:
            break
        if gap.first > first:
            yield first, gap.first - 1
        first = max(first, gap.last + 1)
    if first <= hole.last:
        yield first, hole.last
