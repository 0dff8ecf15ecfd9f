"""Redis Streams over a Unix socket, with hiredis: pipelined XADD, XREAD BLOCK, and a file synced each second, or before each reply."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import redis
from redis.typing import EncodableT, FieldT

from benchmarks.contenders.contender import Contender, Job, Missing, Result, Server, find_program
from benchmarks.contenders.roles import blocking_roles

PIPELINE = 1000
"""XADDs that go out together: with appendfsync always, what the server reads together is synced together."""
_NUMBER = 8  # bytes
_FIELD = "data"

Entry = tuple[bytes, dict[bytes, bytes]]


class Sender:
    def __init__(self, job: Job, topic: str) -> None:
        self._stream = topic
        self._padding = bytes(job.size - _NUMBER)
        self._redis = _connect(job)

    def burst(self, count: int) -> None:
        fields = self._fields(0)
        for begin in range(0, count, PIPELINE):
            pipeline = self._redis.pipeline(transaction=False)
            for _ in range(min(PIPELINE, count - begin)):
                pipeline.xadd(self._stream, fields)
            pipeline.execute()

    def send(self, number: int) -> None:
        self._redis.xadd(self._stream, self._fields(number))

    def finish(self, timeout: float) -> None:
        """Each XADD was answered."""

    def _fields(self, number: int) -> dict[FieldT, EncodableT]:
        return {_FIELD: number.to_bytes(_NUMBER, "big") + self._padding}


class Receiver:
    def __init__(self, job: Job, topic: str) -> None:
        self._quiet = job.quiet
        self._stream = topic
        self._redis = _connect(job)

    def collect(self, count: int) -> Result:
        received, began, ended = 0, 0.0, 0.0
        for entries in self._read():
            ended = time.perf_counter()
            began = began or ended
            received += len(entries)
            if received >= count:
                break
        return Result(count=received, seconds=ended - began)

    def numbers(self) -> Iterator[int]:
        for entries in self._read():
            for _, fields in entries:
                yield int.from_bytes(fields[_FIELD.encode()][:_NUMBER], "big")

    def _read(self) -> Iterator[list[Entry]]:
        last = b"0"
        while entries := self._next(last):
            last = entries[-1][0]
            yield entries

    def _next(self, last: bytes) -> list[Entry]:
        """The entries behind `last`; none where nothing comes for `quiet` seconds."""
        # Any: redis-py's type is every form that its options can give a reply; by default it is [[stream, entries]].
        reply: Any = self._redis.xread({self._stream: last}, count=PIPELINE, block=int(self._quiet * 1000))
        return list(reply[0][1]) if reply else []


def contenders() -> tuple[Contender, ...]:
    """Raises Missing."""
    program = find_program("redis-server")
    if program is None:
        raise Missing("redis-server is not installed: apt install redis-server")
    server = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout.split()[2]
    versions = {"redis-server": server.removeprefix("v="), "redis-py": version("redis"), "hiredis": version("hiredis")}
    roles = blocking_roles(Sender, Receiver)
    return tuple(
        Contender(f"redis {policy}", "redis_streams", promise, True, partial(_servers, program, policy), roles, versions)
        for policy, promise in (
            ("everysec", "in the append-only file, synced each second: a power cut may take the last second or two"),
            ("always", "on disk, synced before the reply"),
        )
    )


def _servers(program: str, policy: str, folder: Path) -> list[Server]:
    # No snapshots and no rewriting of the file: neither would tell anything about events.
    options = {
        "port": "0", "unixsocket": str(_socket(folder)), "dir": str(folder), "save": "", "appendonly": "yes", "appendfsync": policy,
        "auto-aof-rewrite-percentage": "0", "daemonize": "no",
    }  # fmt: skip
    command = [program, *(word for name, value in options.items() for word in (f"--{name}", value))]
    return [Server("redis-server", command, is_up=_socket(folder).exists)]


def _socket(folder: Path) -> Path:
    return folder / "redis.sock"


def _connect(job: Job) -> redis.Redis:
    client = redis.Redis(unix_socket_path=str(_socket(Path(job.folder))))
    client.ping()
    return client
