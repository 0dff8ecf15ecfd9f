"""Groups: what is written and synced as one. A private record ends each and says whether it is whole.

MCAP leaves opcodes from 0x80 to applications (https://mcap.dev/spec#opcodes); unchunked, it has no CRC of its own that a
half-written file could be checked by. docs/log.md has the layout.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from bus.log.disk import read_at
from bus.log.errors import BadRecord
from bus.log.records import MAGIC, MAX_RECORD, PREFIX, Stream

GROUP = 0x80
_SIGN = b"ZPGROUP1"
_TRAILER = struct.Struct("<8sQII")  # sign, file offset of the group's first byte, messages, bytes of the ended streams
_CRC = struct.Struct("<I")
_WINDOW = 1024 * 1024
_CHECKED_FACTOR = 4  # bytes that a search may checksum, as a multiple of those it searches: forged trailers cost no more

_encode = msgspec.msgpack.Encoder().encode
_ended = msgspec.msgpack.Decoder(list[Stream])


class Group(NamedTuple):
    """A whole group: its place in the file, and its records from `records` on in `body`."""

    start: int
    end: int
    body: bytes
    records: int
    messages: int
    ended: list[Stream]


class Hole(NamedTuple):
    """Bytes of the file that are no whole group."""

    start: int
    end: int


def seal(body: bytes, start: int, count: int, ended: list[Stream]) -> bytes:
    """The group of `body`, which will stand at file offset `start`: the body and its trailer."""
    streams = _encode(ended)
    prefix = PREFIX.pack(GROUP, _TRAILER.size + len(streams) + _CRC.size)
    sealed = b"".join((body, prefix, _TRAILER.pack(_SIGN, start, count, len(streams)), streams))
    return sealed + _CRC.pack(zlib.crc32(sealed))


def read_groups(fd: int, start: int, end: int) -> Iterator[Group]:
    """The whole groups that follow each other from file offset `start`, to the first bytes that are none."""
    data, at, size = b"", 0, _WINDOW
    while start < end:
        trailer = _find_trailer(data, at, start)
        if trailer is None:
            if len(data) - at >= min(end - start, MAX_RECORD):
                return
            data, at, size = read_at(fd, start, min(size, end - start)), 0, size * 2
            if len(data) < min(size // 2, end - start):
                end = start + len(data)  # the file was cut while we read
            continue
        group = _whole(data, at, trailer, start)
        if group is None:
            return
        yield group
        at, start, size = at + group.end - group.start, group.end, _WINDOW


def read_across(fd: int, start: int, end: int) -> Iterator[Group | Hole]:
    """Every whole group between two file offsets, and what lies between them. Raises BadRecord at a file offset."""
    while start < end:
        for group in read_groups(fd, start, end):
            yield group
            start = group.end
        if start < end:
            behind = _find_group(fd, start + 1, end)
            yield Hole(start, behind)
            start = behind


def _first_record(start: int) -> int:
    return len(MAGIC) if start == 0 else 0


def _find_trailer(data: bytes, at: int, start: int) -> int | None:
    """Where the trailer of the group at `data[at:]` is; None if it is not all there."""
    at += _first_record(start)
    while at + PREFIX.size <= len(data):
        opcode, length = PREFIX.unpack_from(data, at)
        following: int = at + PREFIX.size + length
        if following > len(data):
            return None
        if opcode == GROUP:
            return at
        at = following
    return None


def _whole(data: bytes, at: int, trailer: int, start: int) -> Group | None:
    """The group at `data[at:]`, which is at file offset `start`, if its trailer agrees."""
    length: int = PREFIX.unpack_from(data, trailer)[1]
    content, end = trailer + PREFIX.size, trailer + PREFIX.size + length
    if length < _TRAILER.size + _CRC.size:
        return None
    sign, begins, count, size = _TRAILER.unpack_from(data, content)
    if sign != _SIGN or begins != start or size != length - _TRAILER.size - _CRC.size:
        return None
    if _CRC.unpack_from(data, end - _CRC.size)[0] != zlib.crc32(memoryview(data)[at : end - _CRC.size]):
        return None
    try:
        ended = _ended.decode(data[content + _TRAILER.size : end - _CRC.size])
    except msgspec.MsgspecError:
        return None
    return Group(start, start + end - at, data[at:trailer], _first_record(start), count, ended)


def _find_group(fd: int, start: int, end: int) -> int:
    """The first file offset in [start, end) at which a whole group begins, else `end`."""
    budget = _CHECKED_FACTOR * (end - start)
    for begins, sealed_end in _claimed(fd, start, end):
        budget -= sealed_end - begins
        if budget < 0:
            raise BadRecord(start, "too many trailers that seal nothing")  # a forgery: to be kept, not cut
        if next(read_groups(fd, begins, sealed_end), None) is not None:
            return begins
    return end


def _claimed(fd: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Start and end of each group that a trailer's sign in [start, end) claims."""
    position = start
    while position < end:
        data = read_at(fd, position, min(_WINDOW, end - position))
        found = data.find(_SIGN)
        while found >= 0:
            claim = _claim(fd, position + found - PREFIX.size, start, end)
            if claim is not None:
                yield claim
            found = data.find(_SIGN, found + 1)
        if len(data) < _WINDOW:
            return
        position += _WINDOW - len(_SIGN) + 1


def _claim(fd: int, trailer: int, start: int, end: int) -> tuple[int, int] | None:
    head = read_at(fd, max(trailer, 0), PREFIX.size + _TRAILER.size)
    if len(head) < PREFIX.size + _TRAILER.size:
        return None
    opcode, length = PREFIX.unpack_from(head)
    begins: int = _TRAILER.unpack_from(head, PREFIX.size)[1]
    sealed_end = trailer + PREFIX.size + length
    fits = opcode == GROUP and start <= begins <= trailer and sealed_end <= end and sealed_end - begins <= MAX_RECORD
    return (begins, sealed_end) if fits else None
