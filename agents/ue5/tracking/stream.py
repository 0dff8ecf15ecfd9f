"""One camera over one protocol: its poses in, its packets out, no more often than the target wants. Knows no sockets."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from uuid import uuid4

from msgspec import Struct

from agents.parts.tracking import opentrackio
from agents.parts.tracking.opentrackio_packet import Encoding
from agents.ue5.tracking import freed, osc
from agents.ue5.tracking.limit import Limit
from agents.ue5.tracking.targets import Protocol, Target, source
from schemas.scene import CameraPose

Encode = Callable[[CameraPose, int], bytes]
"""A pose and when it was taken, in nanoseconds since the Unix epoch, as a packet. Raises OutOfRange."""


class Taken(Struct, frozen=True):
    """A pose, and when it was taken."""

    pose: CameraPose
    time_ns: int


class Stream:
    """Of the poses that the rate holds back only the newest counts. It goes as soon as it may: a camera that stops is seen to stop."""

    def __init__(self, address: tuple[str, int], rate: float, encode: Encode) -> None:
        self.address = address
        self._limit = Limit(rate)
        self._encode = encode
        self._newest: Taken | None = None

    def offer(self, taken: Taken) -> bool:
        """Take a newer pose. Whether one gives way that was never sent."""
        superseded = self._newest is not None
        self._newest = taken
        return superseded

    def packet(self, now: int) -> bytes | None:
        """What goes at `now`, in nanoseconds of a clock that never goes back. Raises OutOfRange for a pose that then is dropped."""
        taken = self._newest
        if taken is None or not self._limit.passes(now):
            return None
        self._newest = None
        return self._encode(taken.pose, taken.time_ns)


class Samples:
    """An OpenTrackIO source, new with each process that sends, which counts its samples."""

    def __init__(self, number: int, encoding: Encoding) -> None:
        self._source = uuid4()
        self._number = number
        self._encoding = encoding
        self._sequence = 0
        self._last: int | None = None

    def encode(self, pose: CameraPose, time_ns: int) -> bytes:
        """The source's next packet. Raises OutOfRange."""
        moment = opentrackio.Moment(
            source=self._source,
            number=self._number,
            sequence=self._sequence,
            time_ns=time_ns,
            interval_ns=None if self._last is None else time_ns - self._last,
        )
        packet = opentrackio.encode(pose, moment, self._encoding)
        self._sequence, self._last = self._sequence + 1, time_ns
        return packet


def open_stream(protocol: Protocol, target: Target, number: int, encoding: Encoding) -> Stream:
    """The stream of camera `number`."""
    address = (target.host, target.port)
    match protocol:
        case "opentrackio":
            host, source_number = source(target, number)
            return Stream((host, target.port), target.rate, Samples(source_number, encoding).encode)
        case "freed":
            return Stream(address, target.rate, partial(_freed, number))
        case "osc":
            return Stream(address, target.rate, osc.encode)


def _freed(number: int, pose: CameraPose, time_ns: int) -> bytes:
    """FreeD has no time."""
    return freed.encode(pose, number)
