"""The log's folder: what its file names mean, and where each segment begins in time."""

from __future__ import annotations

import os
import re
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from mcap.opcode import Opcode
from mcap.records import Metadata

from bus.log.disk import read_at
from bus.log.errors import BadRecord, DamagedSegment
from bus.log.records import MAGIC, PREFIX, Beginning, beginning_of, decode

_NAME = re.compile(r"(\d{6,12})(?:\.(open|done|damaged))?\.mcap")
_START_BYTES = 4096  # a segment's header and first metadata are about 150


class State(IntEnum):
    """How far a segment has come. Of two files with one number the higher state is the segment, the other a leftover."""

    OPEN = 0
    DONE = 1
    DAMAGED = 2
    CLOSED = 3


class Segment(NamedTuple):
    number: int
    state: State
    path: Path


def segment_path(folder: Path, number: int, state: State) -> Path:
    infix = "" if state is State.CLOSED else f".{state.name.lower()}"
    return folder / f"{number:06}{infix}.mcap"


def temporary_path(folder: Path, number: int) -> Path:
    return folder / f"{number:06}.tmp"


def list_files(folder: Path) -> list[Segment]:
    """Every segment file, leftovers included, by number and state."""
    try:
        paths = list(folder.iterdir())
    except FileNotFoundError:
        return []
    found = [(match, path) for path in paths if (match := _NAME.fullmatch(path.name))]
    return sorted(Segment(int(match[1]), State[(match[2] or "closed").upper()], path) for match, path in found)


def list_segments(folder: Path) -> list[Segment]:
    """The segments of a log in order, one for each number."""
    return list({segment.number: segment for segment in list_files(folder)}.values())


def size_of(segment: Segment) -> int:
    """Bytes of its file, 0 where it was renamed meanwhile."""
    try:
        return segment.path.stat().st_size
    except FileNotFoundError:
        return 0


def read_start(path: Path) -> int:
    """The log_time (ns) that all events of the segment are above, and no earlier one is. Raises DamagedSegment, FileNotFoundError."""
    return _read_beginning(path).after


def _read_beginning(path: Path) -> Beginning:
    fd = os.open(path, os.O_RDONLY)
    try:
        data = read_at(fd, 0, _START_BYTES)
    finally:
        os.close(fd)
    try:
        return beginning_of(decode(Metadata, _second_record(data), 0))
    except BadRecord as error:
        raise DamagedSegment(path, error.offset, str(error)) from error


def known_beginning(segment: Segment) -> Beginning | None:
    """Where a segment begins; None where that cannot be read: it is just being made, or damaged, which reading it reports."""
    try:
        return _read_beginning(segment.path)
    except DamagedSegment:
        return None


def known_start(segment: Segment) -> int | None:
    """As read_start; None as known_beginning."""
    beginning = known_beginning(segment)
    return None if beginning is None else beginning.after


def _second_record(data: bytes) -> bytes:
    at = len(MAGIC)
    for expected in (Opcode.HEADER, Opcode.METADATA):
        if not data.startswith(MAGIC) or at + PREFIX.size > len(data):
            raise BadRecord(at, "no MCAP header and metadata")
        opcode, length = PREFIX.unpack_from(data, at)
        start, at = at + PREFIX.size, at + PREFIX.size + length
        if opcode != expected or at > len(data):
            raise BadRecord(start, f"record {opcode:#04x} of {length} bytes: want {expected.name}")
    return data[start:at]
