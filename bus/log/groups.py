"""Groups: what is written, then synced, before the next one is. A private record ends each and says whether it is whole.

MCAP leaves opcodes from 0x80 to applications (https://mcap.dev/spec#opcodes); unchunked, it has no CRC of its own that a
half-written file could be checked by. docs/log.md has the layout.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Generator, Iterator
from typing import NamedTuple

import msgspec

from bus.log.disk import read_at
from bus.log.errors import BadRecord
from bus.log.records import MAGIC, MAX_RECORD, PREFIX, Head, Stream, time_span

GROUP = 0x80
_SIGN = b"ZPGROUP1"
_TRAILER = struct.Struct("<8sQII")  # sign, file offset of the group's first byte, messages, bytes of the ended streams
_CRC = struct.Struct("<I")
_WINDOW = 128 * 1024  # bytes read at once where a reader begins, doubled up to _WIDE as it goes on
_WIDE = 1024 * 1024
_LONGEST = 16 * 1024 * 1024
"""Bytes of a record behind a file's first group, which may have a long table of streams: no frame that brings an event is larger."""
_MAX_RECORDS = 100_000  # of a group, which has at most 4,000 messages: what a reader remembers of one is bounded
_NEAR = 256 * 1024  # bytes within which a search by time reads on from group to group
_CHECKED_FACTOR = 4  # bytes that may be read in vain, as a multiple of those searched: forged records and trailers cost no more

_encode = msgspec.msgpack.Encoder().encode
_ended = msgspec.msgpack.Decoder(list[Stream])


class Group(NamedTuple):
    """A whole group: its place in the file, and its records, those of `body` that `heads` lists."""

    start: int
    end: int
    body: bytes
    heads: list[Head]
    messages: int
    ended: list[Stream]

    def times(self) -> tuple[int, int]:
        """log_time of its first and last message, zeros without one."""
        return time_span(self.body, self.heads)


class Hole(NamedTuple):
    """Bytes of the file that are no whole group."""

    start: int
    end: int


def trailer(body: bytes, start: int, count: int, ended: list[Stream]) -> bytes:
    """What makes `body`, which will stand at file offset `start`, a group once it follows it."""
    streams = _encode(ended)
    prefix = PREFIX.pack(GROUP, _TRAILER.size + len(streams) + _CRC.size)
    unsealed = b"".join((prefix, _TRAILER.pack(_SIGN, start, count, len(streams)), streams))
    return unsealed + _CRC.pack(zlib.crc32(unsealed, zlib.crc32(body)))


def read_groups(fd: int, start: int, end: int) -> Generator[Group, None, tuple[int, int]]:
    """The whole groups that follow each other from file offset `start`, to the first bytes that are none.

    Returns the file offset of those, and how many were read in vain to see it.
    """
    data, at, size = b"", 0, _WINDOW
    while start < end:
        heads, trailer_at, may_follow = _walk_to_trailer(data, at, start)
        if trailer_at is None:
            if not may_follow or len(data) - at >= min(end - start, MAX_RECORD):
                return start, len(data) - at
            size = max(size, 2 * (len(data) - at))
            data, at = read_at(fd, start, min(size, end - start)), 0
            if len(data) < min(size, end - start):
                end = start + len(data)  # the file was cut while we read
            size = min(2 * size, _WIDE)
            continue
        group = _whole(data, at, trailer_at, start, heads)
        if group is None:
            return start, len(data) - at
        yield group
        at, start = at + group.end - group.start, group.end
    return start, 0


def read_across(fd: int, start: int, end: int) -> Iterator[Group | Hole]:
    """Every whole group between two file offsets, and what lies between them. Raises BadRecord at a file offset."""
    budget = _CHECKED_FACTOR * (end - start) + MAX_RECORD
    while start < end:
        start, in_vain = yield from read_groups(fd, start, end)
        budget -= in_vain
        if start < end:
            behind, checked = _find_group(fd, start + 1, end, budget)
            budget -= checked
            yield Hole(start, behind)
            start = behind


def seek(fd: int, end: int, after: int) -> int:
    """A file offset at which a group begins and before which nothing is above log_time `after`, found in O(log n) reads.

    It moves up on the word of whole groups alone, so that reading on from there meets every damage that may hide something.
    """
    low, high = 0, end
    while after and high - low > _NEAR:
        middle = (low + high) // 2
        group = _group_across(fd, low, middle, high)
        if group is None:
            high = middle
            continue
        first, last = group.times()
        if last <= after:
            low = group.end
        elif first <= after or group.start == low:
            return group.start
        else:
            high = min(group.start, middle)
    return low


def _group_across(fd: int, low: int, middle: int, high: int) -> Group | None:
    """The first whole group with messages that lies in [low, high) and ends behind `middle`."""
    budget = _CHECKED_FACTOR * (high - low)
    for begins, sealed_end in _claimed(fd, middle, high, low):
        budget -= sealed_end - begins
        if budget < 0:
            return None
        group = next(read_groups(fd, begins, sealed_end), None)
        if group is not None and group.end == sealed_end and group.times()[0]:
            return group
    return None


def _walk_to_trailer(data: bytes, at: int, start: int) -> tuple[list[Head], int | None, bool]:
    """The records of the group at `data[at:]`, as they lie in it, and where its trailer is; None if that is not all there.

    And whether it may be behind these bytes.
    """
    heads: list[Head] = []
    longest = _LONGEST if start else MAX_RECORD
    size, base, unpack = len(data), at, PREFIX.unpack_from
    at += len(MAGIC) if start == 0 else 0
    while at + PREFIX.size <= size and len(heads) <= _MAX_RECORDS:
        opcode, length = unpack(data, at)
        content: int = at + PREFIX.size
        following: int = content + length
        if following > size:
            return heads, None, length <= longest
        if opcode == GROUP:
            return heads, at, False
        heads.append((opcode, content - base, following - base))
        at = following
    return heads, None, len(heads) <= _MAX_RECORDS


def _whole(data: bytes, at: int, trailer_at: int, start: int, heads: list[Head]) -> Group | None:
    """The group at `data[at:]`, which is at file offset `start`, if its trailer agrees."""
    length: int = PREFIX.unpack_from(data, trailer_at)[1]
    content, end = trailer_at + PREFIX.size, trailer_at + PREFIX.size + length
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
    return Group(start, start + end - at, data[at:trailer_at], heads, count, ended)


def _find_group(fd: int, start: int, end: int, budget: int) -> tuple[int, int]:
    """The first file offset in [start, end) at which a whole group begins, else `end`; and how many bytes were checked for it."""
    checked = 0
    for begins, sealed_end in _claimed(fd, start, end, start):
        checked += sealed_end - begins
        if checked > budget:
            raise BadRecord(start, "too many records and trailers that lead to no group")  # a forgery: to be kept, not cut
        if next(read_groups(fd, begins, sealed_end), None) is not None:
            return begins, checked
    return end, checked


def _claimed(fd: int, position: int, end: int, lowest: int) -> Iterator[tuple[int, int]]:
    """Start, not below `lowest`, and end of each group that a trailer's sign in [position, end) claims."""
    while position < end:
        data = read_at(fd, position, min(_WINDOW, end - position))
        found = data.find(_SIGN)
        while found >= 0:
            claim = _claim(fd, position + found - PREFIX.size, lowest, end)
            if claim is not None:
                yield claim
            found = data.find(_SIGN, found + 1)
        if len(data) < _WINDOW:
            return
        position += _WINDOW - len(_SIGN) + 1


def _claim(fd: int, trailer_at: int, lowest: int, end: int) -> tuple[int, int] | None:
    head = read_at(fd, max(trailer_at, 0), PREFIX.size + _TRAILER.size)
    if len(head) < PREFIX.size + _TRAILER.size:
        return None
    opcode, length = PREFIX.unpack_from(head)
    begins: int = _TRAILER.unpack_from(head, PREFIX.size)[1]
    sealed_end = trailer_at + PREFIX.size + length
    fits = opcode == GROUP and lowest <= begins <= trailer_at and sealed_end <= end and sealed_end - begins <= MAX_RECORD
    return (begins, sealed_end) if fits else None
