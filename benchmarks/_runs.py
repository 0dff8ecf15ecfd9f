"""One run of one contender, on a stage of its own: a stream of events to a subscriber, or round trips; and the CPU time of each process."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks._processes import Child, Stage, await_ready, result, stage
from benchmarks.contenders.contender import Contender, Job
from benchmarks.contenders.roles import PING

TOPIC = "bench.event"
OTHER_TOPIC = "bench.other"
OTHER_RATE = 1000.0
OTHER_SIZE = 1024
OTHER_COUNT = 1_000_000  # more than a run lasts for
PING_RATE = 1000.0
RUN_TIMEOUT = 90.0
QUIET = 3.0
"""Seconds without an event after which a subscriber gives up: where some were lost, the last of them never comes."""


@dataclass(frozen=True, slots=True)
class Streamed:
    """`rate` is the subscriber's, between its first and its last event, `safe_rate` the publisher's, until all were safe."""

    sent: int
    received: int
    disordered: int | None
    rate: float
    safe_rate: float
    cpu: dict[str, float]
    """Seconds of CPU per million events received, by process."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Round trips: how many came back of how many, their times in microseconds, and the CPU time of each process as in Streamed."""

    sent: int
    received: int
    microseconds: list[float]
    cpu: dict[str, float]


def stream(contender: Contender, size: int, count: int, *, loaded: bool) -> Streamed:
    """Publisher -> server -> subscriber; `loaded`: beside another such pair at 1,000 events a second. Raises ChildFailed."""
    with tempfile.TemporaryDirectory(prefix="zp-bench-") as folder, stage(Path(folder)) as opened:
        opened.serve(contender.servers(Path(folder)))
        if loaded:
            _go(*_other_traffic(opened, contender, folder))
        job = _job(contender, folder, role="subscribe", topic=TOPIC, size=size, count=count)
        subscriber, publisher = _pair(opened, job, "subscriber", "publisher")
        before = opened.cpu_seconds()
        _go(subscriber, publisher)
        sent, received = result(publisher, RUN_TIMEOUT), result(subscriber, RUN_TIMEOUT)
        cpu = _cpu(opened, before, received.count)
    rate = (received.count - 1) / received.seconds if received.seconds else 0.0
    return Streamed(sent.count, received.count, received.disordered, rate, sent.count / sent.seconds, cpu)


def answer(contender: Contender, size: int, count: int) -> Answered:
    """Pings at 1,000 a second, each sent back on another topic by another process. Raises ChildFailed."""
    with tempfile.TemporaryDirectory(prefix="zp-bench-") as folder, stage(Path(folder)) as opened:
        opened.serve(contender.servers(Path(folder)))
        job = _job(contender, folder, role="echo", topic=PING, size=size, count=count, rate=PING_RATE)
        echo = opened.perform("echo", job)
        pinger = opened.perform("pinger", _as(job, "ping"))
        await_ready(echo)
        await_ready(pinger)
        before = opened.cpu_seconds()
        _go(echo, pinger)
        trips = result(pinger, RUN_TIMEOUT)
        cpu = _cpu(opened, before, max(trips.count, 1))
    return Answered(count, trips.count, [each / 1000 for each in trips.round_trips], cpu)


def _other_traffic(opened: Stage, contender: Contender, folder: str) -> tuple[Child, Child]:
    job = _job(contender, folder, role="subscribe", topic=OTHER_TOPIC, size=OTHER_SIZE, count=OTHER_COUNT, rate=OTHER_RATE)
    return _pair(opened, job, "second subscriber", "second publisher")


def _pair(opened: Stage, job: Job, subscriber: str, publisher: str) -> tuple[Child, Child]:
    """Both roles, connected and waiting; they start at the same time, since some publishers wait for their subscriber."""
    pair = opened.perform(subscriber, job), opened.perform(publisher, _as(job, "publish"))
    for child in pair:
        await_ready(child)
    return pair


def _go(*children: Child) -> None:
    for child in children:
        child.go()


def _cpu(opened: Stage, before: dict[str, float], events: int) -> dict[str, float]:
    after = opened.cpu_seconds()
    return {name: (after[name] - before[name]) * 1e6 / events for name in after}


def _job(contender: Contender, folder: str, *, role: str, topic: str, size: int, count: int, rate: float = 0.0) -> Job:
    return Job(
        contender=contender.name,
        module=contender.module,
        folder=folder,
        role=role,
        topic=topic,
        size=size,
        count=count,
        rate=rate,
        quiet=QUIET,
    )


def _as(job: Job, role: str) -> Job:
    return msgspec.structs.replace(job, role=role)
