"""Raw pyzmq through the same C proxy: one frame of the same size, ready-made bytes, neither numbered, kept, decoded nor checked.

Twice. As it is first written, it outruns the proxy's high-water mark and loses events. With a credit from the subscriber for
every 500 events it loses none and is faster, since nobody works for events that are dropped: that is the limit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import zmq

from benchmarks.contenders.contender import Contender, Job, Result
from benchmarks.contenders.ours import hub
from benchmarks.contenders.roles import blocking_roles
from bus.address import ipc_addresses
from bus.home import Home

CREDIT = 500
"""Events for which one credit is given."""
WINDOW = 2000
"""Events ahead of the subscriber: half of the proxy's mark, for libzmq tells a sender what was read only when half a mark was."""
MARK = 100_000
"""Events that wait at either socket: the proxy's own mark is what counts."""
READY_MILLISECONDS = 20_000
_NUMBER = 8  # bytes


class Sender:
    """An XPUB, which is a PUB that hears who listens: it starts when the subscriber is there."""

    def __init__(self, job: Job, topic: str, credit: bool) -> None:
        self._prefix = topic.encode() + b"\0"
        self._padding = bytes(job.size - len(self._prefix) - _NUMBER)
        self._credits = _subscribe(job, _credit(topic), READY_MILLISECONDS) if credit else None
        self._socket = _publish(job, self._prefix)

    def burst(self, count: int) -> None:
        send, frame = self._socket.send, self._prefix + bytes(_NUMBER) + self._padding
        for begin in range(0, count, CREDIT):
            if begin >= WINDOW:
                self._await_credits(1)
            for _ in range(min(CREDIT, count - begin)):
                send(frame)
        self._await_credits(min(count // CREDIT, WINDOW // CREDIT))

    def send(self, number: int) -> None:
        self._socket.send(self._prefix + number.to_bytes(_NUMBER, "big") + self._padding)

    def finish(self, timeout: float) -> None:
        """Nothing is acknowledged."""

    def _await_credits(self, count: int) -> None:
        if self._credits is not None:
            for _ in range(count):
                self._credits.recv()


class Receiver:
    """A SUB of one topic."""

    def __init__(self, job: Job, topic: str, credit: bool) -> None:
        self._job = job
        self._prefix = topic.encode() + b"\0"
        self._credit = _credit(topic) if credit else None
        self._socket = _subscribe(job, self._prefix, int(job.quiet * 1000))

    def collect(self, count: int) -> Result:
        publisher = None if self._credit is None else _publish(self._job, self._credit)
        receive, received, began = self._socket.recv, 0, 0.0
        try:
            while received < count:
                receive()
                if not received:
                    began = time.perf_counter()
                received += 1
                if publisher is not None and self._credit is not None and not received % CREDIT:
                    publisher.send(self._credit)
            ended = time.perf_counter()
        except zmq.Again:
            ended = time.perf_counter() - self._job.quiet
        return Result(count=received, seconds=ended - began)

    def numbers(self) -> Iterator[int]:
        start = len(self._prefix)
        while True:
            try:
                frame = self._socket.recv()
            except zmq.Again:
                return
            yield int.from_bytes(frame[start : start + _NUMBER], "big")


def contenders() -> tuple[Contender, ...]:
    return (
        _contender("raw pyzmq", "handed to libzmq: nothing is kept or sent again", credit=False),
        _contender("raw pyzmq, credit", "handed to libzmq, at most 2,000 ahead of the subscriber", credit=True),
    )


def _contender(name: str, promise: str, *, credit: bool) -> Contender:
    roles = blocking_roles(partial(Sender, credit=credit), partial(Receiver, credit=credit))
    versions = {"pyzmq": zmq.pyzmq_version(), "libzmq": zmq.zmq_version()}
    return Contender(name, "raw", promise, False, hub, roles, versions)


def _credit(topic: str) -> bytes:
    return topic.encode() + b".credit\0"


def _publish(job: Job, prefix: bytes) -> zmq.Socket[bytes]:
    """A publishing socket, once somebody has subscribed to `prefix`. It waits where a PUB would drop."""
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.XPUB)
    socket.setsockopt(zmq.XPUB_NODROP, 1)
    socket.setsockopt(zmq.SNDHWM, MARK)
    socket.connect(ipc_addresses(Home(Path(job.folder))).events.inlet)
    while socket.poll(READY_MILLISECONDS):
        if socket.recv() == b"\x01" + prefix:
            return socket
    raise TimeoutError(f"nobody subscribes to {prefix!r}")


def _subscribe(job: Job, prefix: bytes, milliseconds: int) -> zmq.Socket[bytes]:
    """A subscribing socket that raises zmq.Again where nothing comes for so long."""
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    socket.setsockopt(zmq.RCVHWM, MARK)
    socket.setsockopt(zmq.RCVTIMEO, milliseconds)
    socket.connect(ipc_addresses(Home(Path(job.folder))).events.outlet)
    socket.subscribe(prefix)
    return socket
