"""Ours, as a script uses it: `client.publish` of a struct, `client.events` that decodes into it, a hub, and a recorder."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import zmq
from msgspec import Struct

from benchmarks.contenders.contender import Contender, Job, Result, Server
from benchmarks.contenders.roles import blocking_roles
from bus.address import ipc_addresses
from bus.client import Client
from bus.home import Home
from bus.topic import Delivery, Topic
from bus.wire import encode_data

READY_TIMEOUT = 20.0


class Reading(Struct, frozen=True, kw_only=True):
    """An event as people declare them. `body` fills it up to the size that is measured."""

    number: int
    value: float
    name: str
    body: bytes


class Sender:
    """Publishes on one topic, typed."""

    def __init__(self, job: Job, topic: str, delivery: Delivery, batching: bool) -> None:
        self._client = _connect(job, batching)
        if delivery is Delivery.DURABLE:
            self._client.publisher.listeners.wait_until(Delivery.DURABLE, lambda heard: b"command.recorder." in heard, READY_TIMEOUT)
        self._topic = Topic(topic, Reading, delivery=delivery)
        self._body = body_of(job.size, job.count)

    def burst(self, count: int) -> None:
        publish, topic, body = self._client.publish, self._topic, self._body
        for number in range(1, count + 1):
            publish(topic, Reading(number=number, value=0.5, name="bench", body=body))

    def send(self, number: int) -> None:
        self._client.publish(self._topic, Reading(number=number, value=0.5, name="bench", body=self._body))

    def finish(self, timeout: float) -> None:
        self._client.flush(timeout)


class Receiver:
    """Reads one topic into its struct."""

    def __init__(self, job: Job, topic: str, delivery: Delivery) -> None:
        self._quiet = job.quiet
        self._events = _connect(job).events(Topic(topic, Reading, delivery=delivery), timeout=job.quiet)

    def collect(self, count: int) -> Result:
        received = disordered = previous = 0
        began = ended = 0.0
        for event in self._events:
            if not received:
                began = time.perf_counter()
            received += 1
            number = event.data.number
            disordered += number <= previous
            previous = number
            if number >= count:
                ended = time.perf_counter()
                break
        ended = ended or time.perf_counter() - self._quiet
        return Result(count=received, seconds=ended - began, disordered=disordered)

    def numbers(self) -> Iterator[int]:
        return (event.data.number for event in self._events)


def body_of(size: int, largest: int) -> bytes:
    """The body with which a Reading of number `largest` is encoded in `size` bytes."""
    body = b""
    for _ in range(3):  # the header of the body grows with it
        body = bytes(size - len(encode_data(Reading(number=largest, value=0.5, name="bench", body=body))) + len(body))
    return body


def hub(folder: Path) -> list[Server]:
    """The hub alone: what LATEST topics need, and raw pyzmq. It is up when it has bound its last socket."""
    last = Path(ipc_addresses(Home(folder)).latest.outlet.removeprefix("ipc://"))
    return [Server("hub", [sys.executable, "-m", "bus.process", "hub"], {"BUS_HOME": str(folder)}, last.exists)]


def appliance(folder: Path) -> list[Server]:
    """Hub and recorder, with its log in `folder`."""
    return [*hub(folder), Server("recorder", [sys.executable, "-m", "bus.process", "recorder"], {"BUS_HOME": str(folder)})]


def contenders() -> tuple[Contender, ...]:
    synced = "on disk, synced: it survives kill -9 of everything and a power cut"
    return (
        _contender("ours durable", synced, Delivery.DURABLE, batching=False),
        _contender("ours durable, batched", synced, Delivery.DURABLE, batching=True),
        _contender("ours latest", "sent; what finds no room is dropped and counted", Delivery.LATEST, batching=True),
    )


def _contender(name: str, promise: str, delivery: Delivery, *, batching: bool) -> Contender:
    durable = delivery is Delivery.DURABLE
    sender = partial(Sender, delivery=delivery, batching=batching)
    roles = blocking_roles(sender, partial(Receiver, delivery=delivery))
    versions = {"zeropoint-bus": version("zeropoint-bus"), "pyzmq": zmq.pyzmq_version(), "libzmq": zmq.zmq_version()}
    return Contender(name, "ours", promise, durable, appliance if durable else hub, roles, versions)


def _connect(job: Job, batching: bool = True) -> Client:
    client = Client(f"bench-{job.role}-{time.time_ns():x}", ipc_addresses(Home(Path(job.folder))), batching=batching)
    client.await_ready(READY_TIMEOUT)
    return client
