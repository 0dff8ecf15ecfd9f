"""OpenTrackIO's packet: a header of 16 bytes, then a sample in JSON or CBOR. Pure: values in, bytes out.

Format: OpenTrackIO 1.0.1, "Packet Header" (SMPTE RIS OSVP, opentrackio.org), big-endian: `OTrk`, a reserved byte, the encoding, the
sequence number, the segment's offset, one bit for the last segment and 15 for the payload's length, then Fletcher-16 over all else.
"""

from __future__ import annotations

import struct
from itertools import accumulate
from typing import Literal

from msgspec import Struct

Encoding = Literal["json", "cbor"]

LARGEST = 1472
"""Bytes of a packet of ours at most: it fits one Ethernet frame of 1500 with the headers of IP and UDP, so none is ever segmented."""

_IDENTIFIER = b"OTrk"
_HEADER = struct.Struct(">4sBBHIH")
_CHECKSUM = struct.Struct(">H")
_CODES: dict[Encoding, int] = {"json": 1, "cbor": 2}
_LAST_SEGMENT = 0x8000


class Packet(Struct, frozen=True, kw_only=True):
    """A sample as it travels. `sequence` is its number modulo 2^16."""

    encoding: Encoding
    sequence: int
    payload: bytes


def pack(packet: Packet) -> bytes:
    """The packet, as the one segment that it is. Its payload must be under 32 KiB."""
    header = _HEADER.pack(_IDENTIFIER, 0, _CODES[packet.encoding], packet.sequence, 0, _LAST_SEGMENT | len(packet.payload))
    return header + _CHECKSUM.pack(fletcher16(header + packet.payload)) + packet.payload


def fletcher16(data: bytes) -> int:
    """Fletcher's checksum of 16 bits, modulo 256 as OpenTrackIO 1.0.1 has it (not 255): the sum of all sums, and the sum."""
    return (sum(accumulate(data)) & 0xFF) << 8 | sum(data) & 0xFF
