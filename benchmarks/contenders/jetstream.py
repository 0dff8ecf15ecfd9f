"""NATS JetStream over TCP: a stream in files, publish_async with bounded outstanding acknowledgements, an ordered push consumer."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import nats
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import StorageType
from nats.js.errors import BadRequestError

from benchmarks.contenders.contender import Contender, Gate, Job, Missing, Result, Role, Server, find_program
from benchmarks.contenders.roles import FINISH_TIMEOUT, PING, PONG, WARM_UP, due_times, trips

OUTSTANDING = 1000
"""Publishes that wait for their acknowledgement; here faster than 256, and than the 4000 that nats-py begins with."""
_NUMBER = 8  # bytes
_STREAM = "BENCH"


async def publish(job: Job, gate: Gate) -> Result:
    """Events 1 to `count`, as fast as the acknowledgements allow, or at the job's rate."""
    stream = await _connect(job)
    payload = bytes(job.size)
    await asyncio.to_thread(gate.ready)
    began = time.perf_counter()
    waits = due_times(job.rate, job.count) if job.rate else ((number, 0.0) for number in range(job.count))
    acknowledgements = []
    for _, wait in waits:
        if wait > 0:
            await asyncio.sleep(wait)
        acknowledgements.append(await stream.publish_async(job.topic, payload))
    await asyncio.wait_for(asyncio.gather(*acknowledgements), FINISH_TIMEOUT)
    return Result(count=job.count, seconds=time.perf_counter() - began)


async def subscribe(job: Job, gate: Gate) -> Result:
    """The ordered consumer, which sees to it that no event is missing or out of order."""
    stream = await _connect(job)
    received, began, ended = 0, 0.0, 0.0
    finished = asyncio.Event()

    async def receive(message: Msg) -> None:
        nonlocal received, began, ended
        ended = time.perf_counter()
        began = began or ended
        received += 1
        if received == job.count:
            finished.set()

    await stream.subscribe(job.topic, cb=receive, ordered_consumer=True)
    await asyncio.to_thread(gate.ready)
    await _wait_while_it_grows(finished, lambda: received, job.quiet)
    return Result(count=received, seconds=ended - began)


async def ping(job: Job, gate: Gate) -> Result:
    stream = await _connect(job)
    sent: list[int] = []
    arrived: dict[int, int] = {}
    count, finished = job.count + WARM_UP, asyncio.Event()

    async def receive(message: Msg) -> None:
        arrived[int.from_bytes(message.data[:_NUMBER], "big")] = time.perf_counter_ns()
        if len(arrived) == count:
            finished.set()

    await stream.subscribe(PONG, cb=receive, ordered_consumer=True)
    await asyncio.to_thread(gate.ready)
    padding = bytes(job.size - _NUMBER)
    for number, wait in due_times(job.rate, count):
        await asyncio.sleep(max(wait, 0))
        sent.append(time.perf_counter_ns())
        await stream.publish_async(PING, number.to_bytes(_NUMBER, "big") + padding)
    await _wait_while_it_grows(finished, lambda: len(arrived), job.quiet)
    return trips(sent, arrived)


async def echo(job: Job, gate: Gate) -> Result:
    stream = await _connect(job)
    count = 0

    async def answer(message: Msg) -> None:
        nonlocal count
        await stream.publish_async(PONG, message.data)
        count += 1

    await stream.subscribe(PING, cb=answer, ordered_consumer=True)
    await asyncio.to_thread(gate.ready)
    await _wait_while_it_grows(asyncio.Event(), lambda: count, job.quiet)
    return Result(count=count)


def contenders() -> tuple[Contender, ...]:
    """Raises Missing."""
    program = find_program("nats-server")
    if program is None:
        raise Missing("nats-server is not installed: apt install nats-server")
    server = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout.split()[-1]
    versions = {"nats-server": server.removeprefix("v"), "nats-py": version("nats-py")}
    promise = "written to a file but not synced (by default each 2 minutes): it survives kill -9 of the server, not a power cut"
    roles: dict[str, Role] = {role.__name__: _run(role) for role in (publish, subscribe, ping, echo)}
    return (Contender("nats jetstream", "jetstream", promise, True, partial(_servers, program), roles, versions),)


def _run(role: Callable[[Job, Gate], Coroutine[Any, Any, Result]]) -> Role:  # Any: what a coroutine is sent, which is nothing
    return lambda job, gate: asyncio.run(role(job, gate))


def _servers(program: str, folder: Path) -> list[Server]:
    options = ["--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir", str(folder), "--jetstream", "--store_dir", str(folder)]
    return [Server("nats-server", [program, *options], is_up=lambda: bool(_addresses(folder)))]


def _addresses(folder: Path) -> list[str]:
    """Where the server listens, as it wrote itself; none before."""
    for path in folder.glob("nats-server_*.ports"):
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, list[str]])["nats"]
        except msgspec.DecodeError:  # half written
            return []
    return []


async def _connect(job: Job) -> JetStreamContext:
    connection = await nats.connect(_addresses(Path(job.folder))[0])
    stream = connection.jetstream(publish_async_max_pending=OUTSTANDING)
    with contextlib.suppress(BadRequestError):  # another role has made it
        await stream.add_stream(name=_STREAM, subjects=["bench.>"], storage=StorageType.FILE)
    await stream.stream_info(_STREAM)
    return stream


async def _wait_while_it_grows(finished: asyncio.Event, count: Callable[[], int], quiet: float) -> None:
    """Return when it is finished, or nothing has come for `quiet` seconds."""
    before = -1
    while count() > before and not finished.is_set():
        before = count()
        waiting: Awaitable[bool] = finished.wait()
        try:
            await asyncio.wait_for(waiting, quiet)
        except TimeoutError:
            continue
