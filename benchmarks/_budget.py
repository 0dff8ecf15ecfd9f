"""Where the time of one 1 KiB event goes: each stage of publishing, reading and recording alone, with the functions that do it.

Everything runs in this process, over a real hub, socket and log; what a process costs as a whole stands in the table of CPU seconds.
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import zmq
from msgspec import Raw
from msgspec.structs import replace

from agents.recorder.intake import Intake
from benchmarks._ratios import UNBATCHED
from benchmarks._results import Figures
from benchmarks.contenders.ours import Reading, body_of
from bus.address import Addresses, ipc_addresses
from bus.client import Client
from bus.gap import Gaps
from bus.home import Home
from bus.hub import Hub
from bus.log.compaction import compact
from bus.log.log import Log
from bus.ring import Ring
from bus.subscriber import Received, subscription
from bus.topic import Delivery, Topic
from bus.wire import Ack, Envelope, decode_envelope, encode_data, encode_envelope, pack_frame, split_frame, to_event

SIZE = 1024
EVENTS = 1000
"""Events of one measurement: half of the hub's mark, and a usual group of the recorder's."""
TIMEOUT = 10.0
ARRIVED = 0.05
"""Seconds after which what was sent has arrived, so that reading it does not wait."""
TOPIC = Topic("bench.budget", Reading)

T = TypeVar("T")
Socket = zmq.Socket[bytes]
Stage = tuple[str, str, Callable[[], float]]
"""Who does it, what it is, and a measurement in ns for one event."""


def stages(repeats: int, cpu: list[Figures]) -> list[Figures]:
    """Medians of `repeats` measurements of each stage; the hub's is its CPU time in the streams that were measured before."""
    with (
        tempfile.TemporaryDirectory(prefix="zp-bench-") as folder,
        _hub(Path(folder)) as addresses,
        _client(addresses, batching=False) as client,
        _client(addresses, batching=True) as batching,
    ):
        reader = _subscribe(client)
        measured = [*_publishing(client, batching, reader), *_reading(client, reader), *_recording(Path(folder))]
        rows = [_row(who, what, statistics.median(measure() for _ in range(repeats))) for who, what, measure in measured]
    return [*rows, *_hub_share(cpu)]


def _publishing(client: Client, batching: Client, reader: Socket) -> Iterator[Stage]:
    body = body_of(SIZE, EVENTS)
    readings = [Reading(number=number, value=0.5, name="bench", body=body) for number in range(EVENTS)]
    data = encode_data(readings[-1])
    envelope, frame = _sample(data)
    event_map = encode_envelope(TOPIC.name, envelope)
    yield "publisher", "make the struct", lambda: _each(lambda number: Reading(number=number, value=0.5, name="bench", body=body))
    yield "publisher", "encode its data", lambda: _each(lambda number: encode_data(readings[number]))
    yield "publisher", "make the envelope", lambda: _each(lambda number: _envelope(data, number))
    yield "publisher", "encode the envelope", lambda: _each(lambda _: encode_envelope(TOPIC.name, envelope))
    yield "publisher", "keep it in the ring", lambda: _fill_ring(event_map)
    yield "publisher", "pack a frame", lambda: _each(lambda _: pack_frame(TOPIC.name, [event_map]))
    yield "publisher", "send", lambda: _sent_and_read(client, reader, frame)[0]
    yield "publisher", "publish as a whole, a frame each (CPU time of the thread)", lambda: _publish(client, reader, readings)
    yield "publisher", "publish as a whole, batched (CPU time of the thread)", lambda: _publish(batching, reader, readings)


def _reading(client: Client, reader: Socket) -> Iterator[Stage]:
    envelope, frame = _sample(encode_data(Reading(number=1, value=0.5, name="bench", body=body_of(SIZE, EVENTS))))
    event_map = split_frame(frame)[1][0]
    yield "subscriber", "receive", lambda: _sent_and_read(client, reader, frame)[1]
    yield "subscriber", "split the frame", lambda: _each(lambda _: split_frame(frame))
    yield "subscriber", "decode the envelope", lambda: _each(lambda _: decode_envelope(TOPIC.name, event_map))
    yield "subscriber", "look for gaps and repeats", lambda: _arrive(frame)
    yield "subscriber", "decode and check the data", lambda: _each(lambda _: to_event(TOPIC.name, envelope, Reading))


def _recording(folder: Path) -> Iterator[Stage]:
    _, frame = _sample(encode_data(Reading(number=1, value=0.5, name="bench", body=body_of(SIZE, EVENTS))))
    epochs = itertools.count(1)
    yield "recorder", "decide, and append to the log's buffer", lambda: _record(folder / "log", frame, next(epochs))[0]
    yield "recorder", "write and sync a group of 1,000", lambda: _record(folder / "log", frame, next(epochs))[1]
    yield "recorder", "compress a closed segment, later, when it is quiet", lambda: _compress(folder / f"closed-{next(epochs)}")


def _hub_share(cpu: list[Figures]) -> list[Figures]:
    found = (row["server"] for row in cpu if row["contender"] == UNBATCHED and row["bytes"] == SIZE and row["load"] == "alone")
    return [_row("hub", "forward to subscriber and recorder (CPU time)", seconds * 1000) for seconds in found if isinstance(seconds, float)]


def _row(who: str, what: str, nanoseconds: float) -> Figures:
    return {"process": who, "stage": what, "ns": nanoseconds}


def _each(action: Callable[[int], object]) -> float:
    return _each_of(action, range(EVENTS))


def _each_of(action: Callable[[T], object], values: Sequence[T]) -> float:
    """ns for one call, the loop around it included."""
    began = time.perf_counter_ns()
    for value in values:
        action(value)
    return (time.perf_counter_ns() - began) / len(values)


def _envelope(data: bytes, number: int) -> Envelope:
    return Envelope(source="budget", time=time.time_ns(), epoch=time.time_ns(), seq=number + 1, prev=number, nth=number + 1, data=Raw(data))


def _sample(data: bytes) -> tuple[Envelope, bytes]:
    """An event as it arrives."""
    frame = pack_frame(TOPIC.name, [encode_envelope(TOPIC.name, _envelope(data, EVENTS))])
    return decode_envelope(TOPIC.name, split_frame(frame)[1][0]), frame


def _received(frame: bytes, count: int, epoch: int = 1) -> list[Received]:
    """A stream of `count` events."""
    _, maps = split_frame(frame)
    envelope = decode_envelope(TOPIC.name, maps[0])
    numbered = (replace(envelope, epoch=epoch, seq=number + 1, prev=number) for number in range(count))
    return [Received(TOPIC.name, Delivery.DURABLE, maps[0], each) for each in numbered]


def _fill_ring(event_map: bytes) -> float:
    ring = Ring(epoch=1)
    return _each(lambda number: ring.append(TOPIC.name, event_map, float(number)))


def _sent_and_read(client: Client, reader: Socket, frame: bytes) -> tuple[float, float]:
    """ns to hand one frame to libzmq, and ns to take one that has arrived."""
    socket = client.publisher.sockets[Delivery.DURABLE]
    with client.publisher.lock:
        sent = _each(lambda _: socket.send(frame, zmq.NOBLOCK))
    return sent, _read_all(reader)


def _publish(client: Client, reader: Socket, readings: list[Reading]) -> float:
    """ns of Client.publish, acknowledged afterwards as a recorder would. CPU time: the wait for a core is not its cost."""
    began = time.thread_time_ns()
    for reading in readings:
        client.publish(TOPIC, reading)
    taken = time.thread_time_ns() - began
    client.publisher.on_ack(Ack(epoch=client.publisher.epoch, last=client.publisher.ring.last))
    time.sleep(ARRIVED)
    while reader.poll(0):
        reader.recv()
    return taken / len(readings)


def _read_all(reader: Socket) -> float:
    time.sleep(ARRIVED)
    return _each(lambda _: reader.recv())


def _arrive(frame: bytes) -> float:
    gaps: Gaps[Received] = Gaps(lambda _: True, {})
    return _each_of(lambda event: gaps.arrive(event, 0.0), _received(frame, EVENTS))


def _record(folder: Path, frame: bytes, epoch: int) -> tuple[float, float]:
    """ns to take one event in, and ns of the commit for each event of its group."""
    log = Log.open(folder, {TOPIC.name: Reading})
    try:
        intake = Intake(log, "recorder", _refuse, _refuse, lambda _: True)
        log.commit()
        taken = _each_of(intake.take, _received(frame, EVENTS, epoch))
        began = time.perf_counter_ns()
        log.commit()
        return taken, (time.perf_counter_ns() - began) / EVENTS
    finally:
        log.close()


def _compress(folder: Path) -> float:
    """ns of the rewrite for each event of a segment, whose bodies are noise: it does not compress."""
    count, size = 4 * EVENTS, len(body_of(SIZE, EVENTS))
    with closing(Log.open(folder, {TOPIC.name: Reading}, segment_bytes=count * SIZE)) as log:
        for number in range(count):
            envelope = _envelope(encode_data(Reading(number=number, value=0.5, name="bench", body=os.urandom(size))), number)
            log.append(TOPIC.name, Delivery.DURABLE, encode_envelope(TOPIC.name, envelope), envelope)
            if (number + 1) % EVENTS == 0:
                log.commit()
        log.commit()  # which ends the segment, full as it is
        began = time.perf_counter_ns()
        compact(folder)
        return (time.perf_counter_ns() - began) / count


def _subscribe(client: Client) -> Socket:
    """A bare socket that reads the topic, closed with the client's context."""
    reader = client.context.socket(zmq.SUB)
    reader.setsockopt(zmq.RCVHWM, 4 * EVENTS)
    reader.setsockopt(zmq.RCVTIMEO, int(TIMEOUT * 1000))
    reader.connect(client.addresses.plane(Delivery.DURABLE).outlet)
    reader.subscribe(subscription(TOPIC.name))
    client.publisher.listeners.wait(Delivery.DURABLE, subscription(TOPIC.name), TIMEOUT)
    return reader


def _refuse(*reason: object) -> None:
    raise ValueError(f"the budget's own events were refused: {reason}")


@contextmanager
def _client(addresses: Addresses, *, batching: bool) -> Iterator[Client]:
    client = Client(f"budget-{'batched' if batching else 'single'}", addresses, batching=batching)
    try:
        client.await_ready(TIMEOUT)
        yield client
    finally:
        client.abandon()


@contextmanager
def _hub(folder: Path) -> Iterator[Addresses]:
    home = Home(folder)
    home.prepare()
    addresses = ipc_addresses(home)
    hub = Hub([addresses])
    try:
        yield addresses
    finally:
        hub.close()
