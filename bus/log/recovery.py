"""Start: what the log's end holds, once torn tails are cut and leftovers of an interrupted rewrite are gone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from bus.log.closed import check_data, read_metadata, read_summary
from bus.log.contents import Contents
from bus.log.disk import sync, sync_folder
from bus.log.errors import BadRecord, DamagedSegment
from bus.log.folder import Segment, State, list_files, list_segments, read_start, segment_path
from bus.log.groups import Hole, read_across
from bus.log.records import STREAMS_AT_END, Beginning, Stream, cut_to, streams_of


class Repair(NamedTuple):
    """What the start changed on disk, for the operator: bytes cut from a torn tail, or a damaged segment set aside."""

    path: Path
    offset: int
    what: str


class Recovered(NamedTuple):
    """The log's end: `number` is its last segment (0: none), to go on writing if `contents` is there.

    `streams` is the table, `last_time` (ns) at or above every log_time so far.
    """

    number: int
    contents: Contents | None
    streams: dict[Stream, int]
    last_time: int
    repairs: list[Repair]


class Scan(NamedTuple):
    """An unchunked segment read whole. `damage` is the offset of the first bad bytes that have good groups behind them."""

    contents: Contents
    size: int
    damage: int | None


def recover(folder: Path) -> Recovered:
    """Makes the folder sound and says what it ends with. The caller holds the lock. Raises DamagedSegment, OSError."""
    _clear(folder)
    repairs: list[Repair] = []
    while True:
        segments = list_segments(folder)
        top = segments[-1] if segments else None
        if top is None or top.state is not State.OPEN:
            streams, last_time = end_of(segments)
            return Recovered(top.number if top else 0, None, streams, last_time, repairs)
        contents = _repair(top, repairs)
        if contents is not None:
            return Recovered(top.number, contents, dict(contents.streams), contents.last, repairs)


def scan(path: Path, following: Beginning | None = None) -> Scan:
    """Reads an unchunked segment whole, or up to where `following`, the next one, says that it was cut; damaged or not. Raises OSError."""
    fd = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(fd).st_size
        return _scan(fd, cut_to(size, following))._replace(size=size)
    finally:
        os.close(fd)


def _scan(fd: int, size: int) -> Scan:
    contents, hole, damage = Contents(), size, None
    try:
        for part in read_across(fd, 0, size):
            if isinstance(part, Hole):
                hole = part.start
                continue
            damage = hole if damage is None and hole < part.start else damage
            try:
                contents.absorb(part)
            except BadRecord:
                damage = part.start if damage is None else damage
    except BadRecord:
        damage = contents.end if damage is None else damage
    return Scan(contents, size, damage)


def end_of(segments: list[Segment]) -> tuple[dict[Stream, int], int]:
    """The table of streams and the last log_time (ns) behind these segments. Raises DamagedSegment."""
    if not segments:
        return {}, 0
    *earlier, top = segments
    if top.state is State.CLOSED:
        return _end_of_closed(top)
    contents, _, damage = scan(top.path)
    if damage != 0 and contents.end:
        return contents.streams, contents.last
    streams, last_time = end_of(earlier)  # its beginning, with the table, is lost
    return {**streams, **contents.streams}, max(last_time, contents.last)


def _end_of_closed(segment: Segment) -> tuple[dict[Stream, int], int]:
    fd = os.open(segment.path, os.O_RDONLY)
    try:
        summary = read_summary(fd)
        check_data(fd, summary)
        found = read_metadata(fd, summary, STREAMS_AT_END)
        return streams_of(found), max(summary.statistics.message_end_time, read_start(segment.path))
    except BadRecord as error:
        why = f"{error}: the log's last segment says how far each stream is; restore it or move it aside, then start again"
        raise DamagedSegment(segment.path, error.offset, why) from error
    finally:
        os.close(fd)


def _clear(folder: Path) -> None:
    """Removes half-written rewrites, and sources whose rewrite is complete: it was synced before it got its name."""
    for leftover in folder.glob("*.tmp"):
        leftover.unlink()
    files = list_files(folder)
    closed = {segment.number for segment in files if segment.state is State.CLOSED}
    for segment in files:
        if segment.number in closed and segment.state < State.DAMAGED:
            segment.path.unlink()
    sync_folder(folder)


def _repair(top: Segment, repairs: list[Repair]) -> Contents | None:
    """The contents of the open segment, synced and cut to its good groups; None where it does not stay the open one."""
    contents, size, damage = scan(top.path)
    if damage is not None:
        aside = segment_path(top.path.parent, top.number, State.DAMAGED)
        top.path.rename(aside)
        repairs.append(Repair(aside, damage, "damaged among groups that were synced: set aside, readable up to there and behind"))
    elif contents.end == 0:
        top.path.unlink()  # a file whose first group never was whole held nothing that was acknowledged
        repairs.append(Repair(top.path, 0, "its first group was never whole: removed"))
    else:
        _cut(top.path, contents.end)
        if size > contents.end:
            repairs.append(Repair(top.path, contents.end, f"cut a torn tail of {size - contents.end} bytes"))
        return contents
    sync_folder(top.path.parent)
    return None


def _cut(path: Path, end: int) -> None:
    """Cuts and syncs: after a crash of the process alone, groups may stand in the file that were never synced."""
    fd = os.open(path, os.O_RDWR)
    try:
        os.ftruncate(fd, end)
        sync(fd)
    finally:
        os.close(fd)
