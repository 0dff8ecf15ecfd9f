"""A stranger as a process: sends mutated frames to a running hub, as many as it is told, no faster than the recorder takes them.

    mutate.py FRAMES SEED

Knows of the bus only what docs/wire.md says, but for the count of what the codec refuses. After each
STRIDE frames it publishes a durable event of its own and waits for its acknowledgement: so everything before has passed
hub and recorder, and nothing was dropped on the way. Prints one JSON object: what it sent, and how much of it no reader may take.
"""

from __future__ import annotations

import json
import os
import random
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import msgpack
import zmq

from bus.errors import CorruptFrame
from bus.wire import decode_envelope, split_frame

STRIDE = 1000
"""Frames between two waits: a quarter of what the hub holds for a subscriber."""
LATEST_SHARE = 0.2  # of frames that go to the latest plane, of whose events the hub holds 1,000
PATIENCE = 120.0
"""Seconds for one stride: the recorder answers the commands among the frames as well."""

SOURCE = "stranger"
TOPICS = (
    "fuzz.number",
    "train.step",
    "agent.state",
    "command.recorder.status",
    "command.recorder.fetch",
    "bus.bye",
    "bus.floor",
    "reply.x",
)
EDGES = (0, 1, 127, 128, 255, 256, 65535, 65536, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)


def frame(topic: str, event: dict[str, Any]) -> bytes:
    return topic.encode() + b"\0" + msgpack.packb([event])


def valid_frames(draw: random.Random) -> list[bytes]:
    """One of each kind that travels, and some of the largest and the deepest."""
    now = time.time_ns()
    event = {"source": SOURCE, "time": now, "data": {"step": 1, "loss": 2.5, "text": "grüße", "list": [1, 2, [3, {"x": None}]]}}
    stream = {**event, "epoch": now}
    call = {"inbox": "nobody", "deadline": now + 10**12, "request": {"topics": ["fuzz."], "limit": 2}}
    deep: Any = None
    for _ in range(500):
        deep = [deep]
    frames = [frame(topic, {**stream, "seq": draw.randrange(1, 9)}) for topic in TOPICS]
    frames += [frame("command.recorder.fetch", {**event, "data": call}), frame("command.recorder.status", {**stream, "data": call})]
    frames += [frame("bus.ack.good", {**event, "data": {"epoch": 1, "last": 2**40, "missing": [1, 2**40]}})]
    frames += [
        frame("bus.floor", {**event, "data": {"epoch": now, "floor": 7}}),
        frame("bus.bye", {**event, "data": {"epoch": now, "last": 1}}),
    ]
    frames += [frame("fuzz.deep", {**event, "data": deep}), frame("fuzz.batch", event)[:-1] + msgpack.packb(event)]
    frames += [frame("fuzz.number", {**stream, "seq": n, "prev": n - 1, "run": "r1", "cause": "x", "replay": True}) for n in EDGES]
    frames += [frame("fuzz.large", {**event, "data": bytes(size)}) for size in (65_000, 66_000, 120_000)]
    return frames


def flip(draw: random.Random, data: bytearray) -> None:
    for _ in range(draw.randrange(1, 4)):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def cut(draw: random.Random, data: bytearray) -> None:
    first = draw.randrange(len(data))
    del data[first : first + draw.choice((1, 2, 8, len(data)))]


def insert(draw: random.Random, data: bytearray) -> None:
    at = draw.randrange(len(data) + 1)
    data[at:at] = draw.randbytes(draw.choice((1, 2, 9)))


def swap(draw: random.Random, data: bytearray) -> None:
    first, second = draw.randrange(len(data)), draw.randrange(len(data))
    size = draw.randrange(1, 8)
    data[first : first + size], data[second : second + size] = data[second : second + size], data[first : first + size]


def length(draw: random.Random, data: bytearray) -> None:
    """A MessagePack header that promises what does not follow."""
    head = draw.choice((b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9", b"\xdc", b"\xde", b"\xda", b"\xd9", b"\x9f", b"\x8f"))
    at = draw.randrange(len(data))
    data[at : at + 5] = head + draw.choice(EDGES).to_bytes(8, "big")[-4:]


def topic(draw: random.Random, data: bytearray) -> None:
    """Another topic, or none."""
    end = data.find(0)
    name = draw.choice((b"", b".", b"bus.", b"../x", b"A", b"x" * 255, b"x" * 256, "grüße".encode(), b"t%d" % draw.randrange(10**6)))
    data[: max(end, 0)] = name


MUTATIONS: tuple[Callable[[random.Random, bytearray], None], ...] = (flip, cut, insert, swap, length, topic)


class Stranger:
    """Sockets of its own on both planes, and the count of what went through them."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.valid = valid_frames(self.draw)
        self.context = zmq.Context()
        self.inlets = {plane: self._inlet(plane) for plane in ("events", "latest")}
        self.acks = self.context.socket(zmq.SUB)
        self.acks.connect("ipc://run/events.out")
        self.acks.subscribe(f"bus.ack.{SOURCE}-fence\0".encode())
        self.epoch, self.fences, self.sent, self.refused = time.time_ns(), 0, 0, 0

    def blast(self, frames: int) -> None:
        while self.sent < frames:
            for _ in range(min(STRIDE, frames - self.sent)):
                self.send()
            self.disturb()
            self.fence()

    def mutated(self) -> bytes:
        data = bytearray(self.draw.choice(self.valid))
        for mutation in self.draw.choices(MUTATIONS, k=self.draw.choice((1, 1, 2, 3))):
            if data:
                mutation(self.draw, data)
        return bytes(data)

    def send(self) -> None:
        """One message, on one of the planes, now and then of several parts."""
        plane = "latest" if self.draw.random() < LATEST_SHARE else "events"
        parts = [self.mutated() for _ in range(1 if self.draw.random() < 0.95 else self.draw.randrange(2, 20))]
        self.inlets[plane].send_multipart(parts)
        self.sent += 1
        if plane == "events" and (len(parts) > 1 or not is_readable(parts[0])):
            self.refused += 1

    def disturb(self) -> None:
        """What is no frame at all: bytes that are no ZMTP, a message over the hub's limit, subscriptions of anything."""
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(f"run/{self.draw.choice(('events', 'latest'))}.{self.draw.choice(('in', 'out'))}")
            raw.sendall(b"\xff\0\0\0\0\0\0\0\1\x7f\3"[: self.draw.randrange(12)] + self.draw.randbytes(self.draw.randrange(1, 200)))
        for kind, address, message in (
            (zmq.PUB, "events.in", bytes(200_000)),
            (zmq.XSUB, "events.out", bytes([self.draw.randrange(3)]) + self.mutated()[:500]),
        ):
            other = self.context.socket(kind)
            other.connect(f"ipc://run/{address}")
            other.send(message)
            other.close(linger=20)

    def fence(self) -> None:
        """Return when the recorder has acknowledged all that was sent before."""
        self.fences += 1
        event = {"source": f"{SOURCE}-fence", "time": time.time_ns(), "epoch": self.epoch, "seq": self.fences, "data": {}}
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.inlets["events"].send(frame("fuzz.fence", event))
            while self.acks.poll(1000):
                (ack,) = msgpack.unpackb(self.acks.recv().partition(b"\0")[2])
                if ack["data"]["epoch"] == self.epoch and ack["data"]["last"] >= self.fences:
                    return
        raise SystemExit(f"no acknowledgement within {PATIENCE} s, after {self.sent} frames")

    def _inlet(self, plane: str) -> zmq.Socket[bytes]:
        inlet = self.context.socket(zmq.XPUB)
        inlet.setsockopt(zmq.XPUB_NODROP, 1)
        inlet.connect(f"ipc://run/{plane}.in")
        if not inlet.poll(10_000) or inlet.recv() != b"\x01":
            raise SystemExit("no hub")
        return inlet


def is_readable(data: bytes) -> bool:
    try:
        name, maps = split_frame(data)
        for event_map in maps:
            decode_envelope(name, event_map)
    except CorruptFrame:
        return False
    return True


def main() -> None:
    os.chdir(os.environ["BUS_HOME"])  # where the sockets are
    stranger = Stranger(int(sys.argv[2]))
    started = time.monotonic()
    stranger.blast(int(sys.argv[1]))
    found = {"sent": stranger.sent, "refused": stranger.refused, "seconds": round(time.monotonic() - started, 1)}
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
    stranger.context.destroy(linger=1000)


if __name__ == "__main__":
    main()
