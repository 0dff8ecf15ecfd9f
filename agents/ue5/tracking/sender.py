"""Sends cameras' poses by UDP to whom a person has named, and to nobody else.

Any IPv4 address may be named, also off this machine: nothing listens here, and nothing goes out that was not asked for. Multicast stays in
the local network (a TTL of 1) and reaches receivers on this machine, too.
"""

from __future__ import annotations

import socket
import time
from collections import Counter

import msgspec

from agents.parts.tracking import opentrackio
from agents.parts.tracking.errors import OutOfRange
from agents.ue5.tracking.stream import Stream, Taken, open_stream
from agents.ue5.tracking.targets import Protocol, Targets
from schemas.scene import CameraPose

CAMERAS = opentrackio.SOURCES
"""That are sent at most."""


class Sender:
    """For one thread. It never waits, and a receiver that is not there is no error: what could not be sent is counted."""

    def __init__(self, targets: Targets) -> None:
        self._asked = targets.asked
        self._encoding = targets.encoding
        self._socket = open_socket()
        self._numbers = {label: number for number, label in enumerate(dict.fromkeys(targets.cameras), 1)}
        self._fields_of_view: dict[str, float] = {}
        self._streams: dict[tuple[Protocol, str], Stream] = {}
        self._counts: dict[Protocol, Counter[str]] = {protocol: Counter() for protocol in self._asked}
        self._reasons: dict[Protocol, str] = {}

    @property
    def targets(self) -> dict[str, str]:
        """By protocol: its address and rate, how many poses were `sent`, `superseded` by newer ones, `refused` by the protocol and `failed`
        at the socket, and why the last one that did not go did not.
        """
        return {protocol: self._described(protocol) for protocol in self._asked}

    def send(self, pose: CameraPose, time_ns: int) -> None:
        """Send a pose that was taken `time_ns` after the Unix epoch to each target, now or, where its rate holds it back, at a `tick`."""
        taken = Taken(self._completed(pose), time_ns)
        for protocol in self._asked:
            stream = self._stream(protocol, pose.camera)
            if stream is None:
                self._miss(protocol, "refused", f"{pose.camera!r} is one camera over {CAMERAS}")
            else:
                if stream.offer(taken):
                    self._counts[protocol]["superseded"] += 1
                self._go(protocol, stream)

    def tick(self) -> None:
        """Send the poses that were held back and now may go; to be called about as often as the fastest rate."""
        for (protocol, _), stream in self._streams.items():
            self._go(protocol, stream)

    def close(self) -> None:
        """Nothing is sent after this."""
        self._socket.close()

    def _go(self, protocol: Protocol, stream: Stream) -> None:
        try:
            packet = stream.packet(time.monotonic_ns())
            if packet is not None:
                self._socket.sendto(packet, stream.address)
                self._counts[protocol]["sent"] += 1
        except OutOfRange as error:
            self._miss(protocol, "refused", str(error))
        except OSError as error:
            self._miss(protocol, "failed", str(error))

    def _miss(self, protocol: Protocol, how: str, reason: str) -> None:
        self._counts[protocol][how] += 1
        self._reasons[protocol] = reason

    def _described(self, protocol: Protocol) -> str:
        counts = {"sent": 0, **self._counts[protocol]}
        described = ", ".join([str(self._asked[protocol]), *(f"{count} {how}" for how, count in counts.items())])
        return f"{described}; {self._reasons[protocol]}" if protocol in self._reasons else described

    def _stream(self, protocol: Protocol, camera: str) -> Stream | None:
        """The camera's stream, None where there are too many."""
        if camera not in self._numbers and len(self._numbers) >= CAMERAS:
            return None
        number = self._numbers.setdefault(camera, len(self._numbers) + 1)
        key = (protocol, camera)
        if key not in self._streams:
            self._streams[key] = open_stream(protocol, self._asked[protocol], number, self._encoding)
        return self._streams[key]

    def _completed(self, pose: CameraPose) -> CameraPose:
        """The pose with the camera's field of view, which an event leaves out where it is as before."""
        if pose.field_of_view is None:
            return msgspec.structs.replace(pose, field_of_view=self._fields_of_view.get(pose.camera))
        if pose.camera in self._fields_of_view or len(self._fields_of_view) < CAMERAS:
            self._fields_of_view[pose.camera] = pose.field_of_view
        return pose


def open_socket() -> socket.socket:
    """A UDP socket that never waits."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setblocking(False)
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
    return opened
