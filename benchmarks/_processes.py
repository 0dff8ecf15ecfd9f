"""Starts a benchmark's processes, agrees with them on the start, reads their CPU time, and ends them whatever happens."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import psutil

from benchmarks.contenders.contender import Job, Result, Server

T = TypeVar("T")

CHECKOUT = Path(__file__).parent.parent
START_TIMEOUT = 30.0
END_TIMEOUT = 5.0
_POLL = 0.01


class ChildFailed(Exception):
    """A process ended, or was silent for too long; the text has what it wrote."""


class Child:
    """One process. What it writes is in a file of `folder`, but for the lines of one that `speaks`."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], folder: Path, speaks: bool) -> None:
        self.name = name
        self._output = folder / f"{name.replace(' ', '-')}.out"
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE if speaks else output, stderr=output,
                env={**os.environ, **environment}, cwd=CHECKOUT, start_new_session=True,
            )  # fmt: skip
        self.pid = self._process.pid

    def read(self, type_: type[T], timeout: float) -> T:
        """The next line that it says. Raises ChildFailed."""
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], timeout)
        line = self._process.stdout.readline() if readable else b""
        if not line:
            raise ChildFailed(f"{self.name} {'ended' if readable else f'said nothing for {timeout} s'}:\n{self._written()}")
        return msgspec.json.decode(line, type=type_)

    def tell(self, line: str) -> None:
        """Raises ChildFailed."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{line}\n".encode())
        except BrokenPipeError as error:
            raise ChildFailed(f"{self.name} ended:\n{self._written()}") from error

    def go(self) -> None:
        """Let it begin."""
        self.tell("go")

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far."""
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system

    def check(self) -> None:
        """Raises ChildFailed where it has ended."""
        if self._process.poll() is not None:
            raise ChildFailed(f"{self.name} ended with {self._process.returncode}:\n{self._written()}")

    def end(self) -> None:
        """SIGTERM, and SIGKILL for what does not leave, and for what it leaves behind of its own."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_TIMEOUT)
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says PermissionError of a group of zombies
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(END_TIMEOUT)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _written(self) -> str:
        return self._output.read_text(errors="replace")[-4000:]


class Stage:
    """The processes of one run, in the order in which they were started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.children: list[Child] = []

    def serve(self, servers: list[Server]) -> None:
        """Start the servers, each when the one before is up. Raises ChildFailed."""
        for server in servers:
            child = self.start(server.name, server.command, server.environment, speaks=False)
            deadline = time.monotonic() + START_TIMEOUT
            while not server.is_up():
                child.check()
                if time.monotonic() > deadline:
                    raise ChildFailed(f"{server.name} is not up after {START_TIMEOUT} s")
                time.sleep(_POLL)

    def perform(self, name: str, job: Job) -> Child:
        """Start a role; it waits for `go`. Subscribers come before their publishers."""
        command = [sys.executable, "-m", "benchmarks.contenders.child", msgspec.json.encode(job).decode()]
        return self.start(name, command, {}, speaks=True)

    def cpu_seconds(self) -> dict[str, float]:
        return {child.name: child.cpu_seconds() for child in self.children}

    def start(self, name: str, command: list[str], environment: Mapping[str, str], *, speaks: bool) -> Child:
        child = Child(name, command, environment, self._folder, speaks)
        self.children.append(child)
        return child


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """A stage in `folder` that is cleared at the end: roles first, servers last."""
    opened = Stage(folder)
    try:
        yield opened
    finally:
        for child in reversed(opened.children):
            child.end()


def await_ready(child: Child) -> None:
    """Return when a role is connected. Raises ChildFailed."""
    said = child.read(str, START_TIMEOUT)
    if said != "ready":
        raise ChildFailed(f"{child.name} said {said!r}: want ready")


def result(child: Child, timeout: float) -> Result:
    """What a role measured. Raises ChildFailed."""
    return child.read(Result, timeout)
