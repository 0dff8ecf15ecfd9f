"""The four roles, for contenders whose calls block: publish, subscribe, ping (measures round trips) and echo (answers them)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from benchmarks.contenders.contender import Gate, Job, Result, Role

PING, PONG = "bench.ping", "bench.pong"
FINISH_TIMEOUT = 60.0
WARM_UP = 200
"""The first round trips, which are not counted: connections and caches settle."""


class Sender(Protocol):
    def burst(self, count: int) -> None:
        """Send events 1 to `count`, as fast as flow control lets one."""

    def send(self, number: int) -> None:
        """Send one event, now."""

    def finish(self, timeout: float) -> None:
        """Return when all that was sent is as safe as it gets."""


class Receiver(Protocol):
    def collect(self, count: int) -> Result:
        """Receive until `count` events came, or none for the job's `quiet` seconds."""

    def numbers(self) -> Iterator[int]:
        """The number of each event as it comes, until none comes for `quiet` seconds."""


def blocking_roles(sender: Callable[[Job, str], Sender], receiver: Callable[[Job, str], Receiver]) -> Mapping[str, Role]:
    """The roles of a contender, from how it opens a sender and a receiver of one topic."""

    def publish(job: Job, gate: Gate) -> Result:
        opened = sender(job, job.topic)
        gate.ready()
        if job.rate:
            return _paced(opened, job)
        began = time.perf_counter()
        opened.burst(job.count)
        opened.finish(FINISH_TIMEOUT)
        return Result(count=job.count, seconds=time.perf_counter() - began)

    def subscribe(job: Job, gate: Gate) -> Result:
        opened = receiver(job, job.topic)
        gate.ready()
        return opened.collect(job.count)

    def ping(job: Job, gate: Gate) -> Result:
        answers, questions = receiver(job, PONG), sender(job, PING)
        gate.ready()
        return _ping(questions, answers, job)

    def echo(job: Job, gate: Gate) -> Result:
        questions, answers = receiver(job, PING), sender(job, PONG)
        gate.ready()
        count = 0
        for number in questions.numbers():
            answers.send(number)
            count += 1
        return Result(count=count)

    return {"publish": publish, "subscribe": subscribe, "ping": ping, "echo": echo}


def due_times(rate: float, count: int) -> Iterator[tuple[int, float]]:
    """The number of each event and the seconds until it is due, at most 0 where it is late."""
    began = time.perf_counter()
    for number in range(1, count + 1):
        yield number, began + number / rate - time.perf_counter()


def trips(sent: list[int], arrived: dict[int, int]) -> Result:
    """Round trips from the times (ns) at which each number left and came back."""
    counted = [came - sent[number - 1] for number, came in arrived.items() if number > WARM_UP]
    return Result(count=len(counted), round_trips=counted)


def _paced(sender: Sender, job: Job) -> Result:
    began = time.perf_counter()
    for number, wait in due_times(job.rate, job.count):
        time.sleep(max(wait, 0))
        sender.send(number)
    sender.finish(FINISH_TIMEOUT)
    return Result(count=job.count, seconds=time.perf_counter() - began)


def _ping(sender: Sender, receiver: Receiver, job: Job) -> Result:
    count = job.count + WARM_UP
    sent: list[int] = []
    arrived: dict[int, int] = {}
    reader = threading.Thread(target=_note_arrivals, args=(receiver, count, arrived), daemon=True)
    reader.start()
    for number, wait in due_times(job.rate, count):
        time.sleep(max(wait, 0))
        sent.append(time.perf_counter_ns())
        sender.send(number)
    reader.join(2 * job.quiet)
    return trips(sent, arrived)


def _note_arrivals(receiver: Receiver, count: int, arrived: dict[int, int]) -> None:
    for number in receiver.numbers():
        arrived[number] = time.perf_counter_ns()
        if len(arrived) == count:
            return
