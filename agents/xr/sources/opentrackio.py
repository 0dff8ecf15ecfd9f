"""Poses by OpenTrackIO, from a tracker that sends them by UDP.

One source counts at a time: the first one that is heard, until it has been silent for SILENCE. Whoever can send to the address is
believed: on loopback that is anybody on this machine, in a multicast group anybody in the network.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from agents.parts.tracking import opentrackio
from agents.parts.tracking.errors import NotTaken
from agents.parts.tracking.opentrackio_packet import unpack
from agents.parts.tracking.opentrackio_sample import Sample, read
from agents.xr.observation import Observation, Source
from agents.xr.sources.address import Address, bound
from schemas.xr import Device, Kind

SILENCE = 1_000_000_000
"""Nanoseconds: after which a source may be another, or count from anew."""
NEAR = 1_000_000_000
"""Nanoseconds that a source's clock is off at most to be believed; PTP's, which counts leap seconds, is off by 37 s and more."""
_SEQUENCES = 1 << 16


class Stream:
    """What is heard of the one source. Its numbers wrap; `sequence` goes on rising, from source to source."""

    def __init__(self, source: Source, sequence: int, number: int, heard: int) -> None:
        self.source = source
        self.sequence = sequence
        self._number, self._heard = number, heard

    def is_silent(self, now: int) -> bool:
        return now - self._heard > SILENCE

    def follow(self, number: int, now: int) -> None:
        """Take the next sample's number. Raises NotTaken where it is not newer, modulo 2^16 (RFC 1982)."""
        step = (number - self._number) % _SEQUENCES
        if self.is_silent(now):
            step = step or 1
        elif not 0 < step < _SEQUENCES // 2:
            raise NotTaken("late", f"sample {number} came after {self._number}")
        self.sequence, self._number, self._heard = self.sequence + step, number, now


class Receiver(asyncio.DatagramProtocol):
    """Hands over what packets say of `device`. What is not taken is counted in `refused`, by reason."""

    def __init__(self, device: Device, on_observation: Callable[[Observation], None]) -> None:
        self.refused: Counter[str] = Counter()
        self._device: Device = device
        self._on_observation = on_observation
        self._stream: Stream | None = None

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            observation = self.observed(data, time.time_ns())
        except NotTaken as error:
            self.refused[error.reason] += 1
        else:
            self._on_observation(observation)

    def observed(self, data: bytes, now: int) -> Observation:
        """What a packet says that came at `now`. Raises NotTaken."""
        packet = unpack(data)
        sample = read(packet.payload, packet.encoding)
        place = opentrackio.place(sample)
        stream = self._follow(_source(sample), packet.sequence, now)
        return Observation(
            source=stream.source,
            device=self._device,
            sequence=stream.sequence,
            sampled=_sampled(sample, now),
            received=now,
            position=place.position,
            orientation=place.orientation,
        )

    def _follow(self, source: Source, number: int, now: int) -> Stream:
        stream = self._stream
        if stream is None or (stream.source != source and stream.is_silent(now)):
            self._stream = stream = Stream(source, 0 if stream is None else stream.sequence + 1, number, now)
        elif stream.source != source:
            raise NotTaken("another source", f"{source.name} sends while {stream.source.name} does")
        else:
            stream.follow(number, now)
        return stream


async def receive(address: Address, receiver: Receiver) -> asyncio.DatagramTransport:
    """Let the receiver hear what comes to the address, until the transport is closed. Raises OSError."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: receiver, sock=bound(address))
    return transport


def _source(sample: Sample) -> Source:
    return Source(name=sample.source_id or "opentrackio", origin="opentrackio", kind=_kind(sample))


def _kind(sample: Sample) -> Kind:
    """`simulated` of a scene's camera that we send ourselves, `recorded` of what is played back."""
    if sample.tracker and sample.tracker.notes == opentrackio.OURS:
        return "simulated"
    return "recorded" if sample.timing and sample.timing.recorded_timestamp else "real"


def _sampled(sample: Sample, now: int) -> int:
    """When the sample was taken, where its clock can be believed; else when it came."""
    taken = opentrackio.time_ns(sample)
    return taken if taken is not None and abs(now - taken) <= NEAR else now
