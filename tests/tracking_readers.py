"""What a receiver of live poses reads: FreeD as its manual describes it, OpenTrackIO by its layout and other people's decoders."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import cbor2

from agents.parts.frames import Vector

SIZE = 29


@dataclass(frozen=True)
class D1:
    """A message of FreeD: degrees, and metres on the stage."""

    camera: int
    angles: Vector
    position: Vector


@dataclass(frozen=True)
class Tracked:
    """A packet of OpenTrackIO. The position is that of the bus."""

    sequence: int
    sample: dict[str, Any]  # Any: JSON

    @property
    def position(self) -> Vector:
        place = self.sample["transforms"][0]["translation"]
        return (place["x"], place["z"], -place["y"])

    @property
    def label(self) -> str:
        return str(self.sample["static"]["camera"]["label"])

    @property
    def field_of_view(self) -> float | None:
        if "lens" not in self.sample:
            return None
        width = self.sample["static"]["camera"]["activeSensorPhysicalDimensions"]["width"]
        return 2 * math.atan2(width / 2, self.sample["lens"]["pinholeFocalLength"])

    @property
    def time_ns(self) -> int:
        stamp = self.sample["timing"]["sampleTimestamp"]
        return int(stamp["seconds"] * 10**9 + stamp["nanoseconds"])


def read_d1(data: bytes) -> D1:
    assert (data[0], len(data), sum(data) & 0xFF) == (0xD1, SIZE, 0x40)
    pan, tilt, roll, x, y, height = (signed(*data[at : at + 3]) for at in range(2, 20, 3))
    return D1(data[1], (pan / 32768, tilt / 32768, roll / 32768), (x / 64e3, y / 64e3, height / 64e3))


def signed(high: int, middle: int, low: int) -> int:
    """A number of 24 bits as Vinten's manual describes it: bit 23 is the sign."""
    return (high << 16 | middle << 8 | low) - (1 << 24 if high & 0x80 else 0)


def read_packet(packet: bytes) -> Tracked:
    payload = packet[16:]
    assert packet[:4] == b"OTrk"
    assert int.from_bytes(packet[12:14], "big") == 0x8000 | len(payload)
    assert int.from_bytes(packet[14:16], "big") == checksum(packet[:14] + payload)
    return Tracked(int.from_bytes(packet[6:8], "big"), json.loads(payload) if packet[5] == 1 else cbor2.loads(payload))


def checksum(data: bytes) -> int:
    """As the reference code of OpenTrackIO makes it."""
    low = high = 0
    for byte in data:
        low = (low + byte) % 256
        high = (high + low) % 256
    return high << 8 | low
