"""OpenTrackIO's packet: a header of 16 bytes, then a sample in JSON or CBOR. Pure: values in, bytes out, and back.

Format: OpenTrackIO 1.0.1, "Packet Header" (SMPTE RIS OSVP, opentrackio.org), big-endian: `OTrk`, a reserved byte, the encoding, the
sequence number, the segment's offset, one bit for the last segment and 15 for the payload's length, then Fletcher-16 over all else.
"""

from __future__ import annotations

import struct
from itertools import accumulate
from typing import Literal

from msgspec import Struct

from agents.parts.tracking.errors import NotTaken

Encoding = Literal["json", "cbor"]

LARGEST = 1472
"""Bytes of a packet of ours at most: it fits one Ethernet frame of 1500 with the headers of IP and UDP, so none is ever segmented."""

_IDENTIFIER = b"OTrk"
_HEADER = struct.Struct(">4sBBHIH")
_CHECKSUM = struct.Struct(">H")
_CODES: dict[Encoding, int] = {"json": 1, "cbor": 2}
_ENCODINGS: dict[int, Encoding] = {code: encoding for encoding, code in _CODES.items()}
_LAST_SEGMENT = 0x8000
_START = _HEADER.size + _CHECKSUM.size
"""Of the payload."""


class Packet(Struct, frozen=True, kw_only=True):
    """A sample as it travels. `sequence` is its number modulo 2^16."""

    encoding: Encoding
    sequence: int
    payload: bytes


def pack(packet: Packet) -> bytes:
    """The packet, as the one segment that it is. Its payload must be under 32 KiB."""
    header = _HEADER.pack(_IDENTIFIER, 0, _CODES[packet.encoding], packet.sequence, 0, _LAST_SEGMENT | len(packet.payload))
    return header + _CHECKSUM.pack(fletcher16(header + packet.payload)) + packet.payload


def unpack(data: bytes) -> Packet:
    """The packet that a datagram is. Raises NotTaken, also for a segment: others may send a sample in several."""
    if len(data) < _START or not data.startswith(_IDENTIFIER):
        raise NotTaken(
            "no OpenTrackIO", f"{len(data)} bytes that begin with {data[:4]!r}: want a header of {_START} that begins with {_IDENTIFIER!r}"
        )
    _, _, code, sequence, offset, tail = _HEADER.unpack_from(data)
    _check(data, tail & ~_LAST_SEGMENT)
    if offset or not tail & _LAST_SEGMENT:
        raise NotTaken("segmented", f"a segment at {offset} of a sample: want samples that fit one packet, without what is of no use here")
    if code not in _ENCODINGS:
        raise NotTaken("unknown encoding", f"encoding {code}: want {_CODES}")
    return Packet(encoding=_ENCODINGS[code], sequence=sequence, payload=data[_START:])


def _check(data: bytes, length: int) -> None:
    """Whether the datagram came whole. Raises NotTaken."""
    payload = data[_START:]
    if length != len(payload):
        raise NotTaken("wrong length", f"the header says {length} bytes, and {len(payload)} follow")
    (said,) = _CHECKSUM.unpack_from(data, _HEADER.size)
    if said != (summed := fletcher16(data[: _HEADER.size] + payload)):
        raise NotTaken("wrong checksum", f"the header says {said:#06x}, and the bytes come to {summed:#06x}")


def fletcher16(data: bytes) -> int:
    """Fletcher's checksum of 16 bits, modulo 256 as OpenTrackIO 1.0.1 has it (not 255): the sum of all sums, and the sum."""
    return (sum(accumulate(data)) & 0xFF) << 8 | sum(data) & 0xFF
