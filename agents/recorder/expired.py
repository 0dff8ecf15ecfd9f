"""Whether retention has taken from a stretch of the log: what is made from it again is then less than it was."""

from __future__ import annotations

import os
from pathlib import Path

from bus.log.closed import read_counts, read_summary
from bus.log.errors import BadRecord
from bus.log.folder import State, known_start, list_segments
from bus.log.reader import look_again
from bus.log.records import EXPIRED


def has_expired(folder: Path, topic: str, after: int, until: int) -> bool:
    """Whether events of a topic with log_time (ns) in (after, until] may have expired. Raises CorruptLog, OSError."""
    return look_again(folder, lambda: any(topic in _expired(path) for path in _closed(folder, after, until)))


def _closed(folder: Path, after: int, until: int) -> list[Path]:
    """The closed segments that can hold something of (after, until]; only those are ever thinned."""
    segments = list_segments(folder)
    starts = [known_start(segment) for segment in segments]
    return [
        segment.path
        for segment, start, following in zip(segments, starts, [*starts[1:], None], strict=False)
        if segment.state is State.CLOSED and (start is None or start < until) and (following is None or following > after)
    ]


def _expired(path: Path) -> dict[str, int]:
    """By topic, what a closed segment lost to retention, as far as it can be read: reading its events says where it is damaged."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return read_counts(fd, read_summary(fd), EXPIRED)
    except BadRecord:
        return {}
    finally:
        os.close(fd)
