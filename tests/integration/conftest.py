"""The one place that starts processes: an appliance under a temporary BUS_HOME, ended whatever the test does."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bus.address import ipc_addresses
from bus.client import Client
from bus.environment.place import Place
from bus.errors import CommandRefused
from bus.home import Home
from bus.log.reader import read_folder
from bus.log.records import Entry
from bus.supervisor import names
from bus.topic import Delivery
from schemas import system

CHECKOUT = Path(__file__).parent.parent.parent
BUS = str(Path(sys.executable).parent / "bus")
PARTIES = Path(__file__).parent / "parties"
UP_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0
QUICK = {"BUS_TRAINER_AUTOSTART": "false", "BUS_TRAINER_RECIPE": "micro", "NOOPT": "1"}
"""A model for tests, compiled without tinygrad's optimisations: seconds instead of most of a minute."""


class Appliance:
    """One BUS_HOME and the processes that a test starts in it."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.home = Home(root)
        (root / "cache").symlink_to(cache)  # compiled kernels are shared by all tests
        inherited = {name: value for name, value in os.environ.items() if name != "CACHELEVEL"}  # a process may keep what it compiles
        self.environment = {**inherited, **QUICK, "BUS_HOME": str(root)}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._clients: list[Client] = []
        self._mounts: list[Path] = []

    @property
    def artifacts(self) -> Path:
        return self.home.artifacts

    def start(self, *names: str, **settings: str) -> None:
        """Start supervised processes, each as its Procfile line would; `settings` are environment variables."""
        for name in names:
            self.processes[name] = self._spawn([BUS, "run", name], name, settings)

    def process(self, name: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start the hub or an agent without a supervisor, for a test that kills and starts again by itself."""
        self.processes[name] = self._spawn([sys.executable, "-m", "bus.process", name], name, settings)
        return self.processes[name]

    def party(self, name: str, script: str, *arguments: str | Path, **settings: str) -> subprocess.Popen[bytes]:
        """Start one of the scripts in `parties/` as the process `name`."""
        command = [sys.executable, str(PARTIES / script), *map(str, arguments)]
        self.processes[name] = self._spawn(command, name, settings)
        return self.processes[name]

    def up(self, **settings: str) -> subprocess.Popen[bytes]:
        """Start everything that the Procfile lists, as `./dev up` does; a peer of Petals only where its environment was made.

        Its supervisor would make one, of gigabytes, in the checkout.
        """
        if Place("petals").missing() is not None:
            lines = self.home.procfile.read_text().splitlines(keepends=True)
            (self.home.root / "Procfile").write_text("".join(line for line in lines if not line.startswith("petals:")))
        self.processes["up"] = self._spawn([BUS, "up"], "up", settings)
        return self.processes["up"]

    @property
    def agents(self) -> set[str]:
        """Those that `up` starts."""
        return set(names(self.home)) - {"hub"}

    def bus(self, *arguments: str, timeout: float = 30.0, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run one `bus` command to its end."""
        return subprocess.run(
            [BUS, *arguments], env=self.environment, capture_output=True, text=True, timeout=timeout, check=False, input=stdin
        )

    def script(self, code: str, *arguments: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a Python script of its own in `BUS_HOME`."""
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, cwd=self.home.root, capture_output=True, text=True, timeout=timeout, check=False)

    def spawn(self, *arguments: str) -> subprocess.Popen[str]:
        """Start one `bus` command beside the test, its output piped."""
        process = subprocess.Popen(
            [BUS, *arguments], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.processes[f"bus-{len(self.processes)}"] = process  # type: ignore[assignment]  # text or bytes, it is only ended
        return process

    def connect(self, source: str = "test") -> Client:
        """A client of this appliance, left when the test ends. Waits for the hub, and for the recorder where one was started."""
        client = Client(source, ipc_addresses(self.home))
        self._clients.append(client)
        client.await_ready(UP_TIMEOUT)
        if {"recorder", "up"} & self.processes.keys():
            self.wait_for_agent(client, "recorder")
            with contextlib.suppress(CommandRefused):  # it answers, also with no, once it receives everything
                client.call(system.STATUS, timeout=UP_TIMEOUT)
        return client

    def set_clock(self, ns: int) -> None:
        """Shift the wall clock of every process started from now on, and of those that this was called for before, by `ns`."""
        clock = self.home.root / "clock"
        if not clock.exists():
            clock.write_bytes(bytes(8))
            self.environment |= {"PYTHONPATH": str(PARTIES / "clock"), "SHIFTED_CLOCK": str(clock)}
        with clock.open("r+b") as file:
            file.write(ns.to_bytes(8, "little", signed=True))

    def limit_log(self, size: int) -> None:
        """Give the log's folder a disk of its own, of `size` bytes. Skips the test where mounting is not allowed."""
        self.home.log.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(self.home.log)]
        mounted = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        if mounted.returncode:
            pytest.skip(f"a small disk needs a tmpfs, and mounting it is refused: {mounted.stderr.strip()}")
        self._mounts.append(self.home.log)

    def lose_log(self, client: Client) -> None:
        """Stop the recorder, take its log away, and start it again."""
        self.processes["recorder"].terminate()
        self.processes["recorder"].wait(STOP_TIMEOUT)
        shutil.rmtree(self.home.log)
        self.start("recorder")
        self.wait_for_agent(client, "recorder")

    def wait_for_agent(self, client: Client, name: str) -> None:
        """Return when the agent takes commands."""
        prefix = f"command.{name}.".encode()
        wait_for(lambda: client.publisher.listeners.has(Delivery.DURABLE, prefix), f"the agent {name}")

    def child(self, name: str) -> psutil.Process:
        """The process that the supervisor of `name` runs now."""
        pid = self.processes[name].pid

        def find() -> psutil.Process | None:
            children = psutil.Process(pid).children()
            return children[0] if children else None

        return wait_for(find, f"a child of the supervisor of {name}")

    def kill(self, name: str) -> None:
        """kill -9 the process that the supervisor of `name` runs."""
        self.child(name).kill()

    def log(self, *topics: str) -> list[Entry]:
        """What the log holds of these topics, read from its files."""
        return list(read_folder(self.home.log, topics=topics))

    def output(self, name: str) -> str:
        """What a started process has written so far."""
        return (self.home.root / f"{name}.out").read_text(errors="replace")

    def stop(self) -> None:
        """SIGTERM for everything, then wait; what does not leave in time fails the test."""
        self.leave()
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for name, process in self.processes.items():
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                pytest.fail(f"{name} did not leave within {STOP_TIMEOUT} s of SIGTERM")

    def leave(self) -> None:
        for client in self._clients:
            client.abandon()
        self._clients.clear()

    def end(self) -> list[str]:
        """kill -9 for whatever is still there, supervisors first. Returns what it found."""
        self.leave()
        left = list(self.left_over())
        found = [f"{process.pid}: {' '.join(process.cmdline())} ({process.status()})" for process in left if process.is_running()]
        for process in sorted(left, key=lambda each: "run" not in each.cmdline()):
            process.kill()
        psutil.wait_procs(left, STOP_TIMEOUT)
        for folder in self._mounts:
            subprocess.run(["umount", "--lazy", str(folder)], timeout=30, check=True)
        self._mounts.clear()
        return found

    def left_over(self) -> Iterator[psutil.Process]:
        """Every process with this BUS_HOME in its environment, but for the test itself."""
        for process in psutil.process_iter():
            try:
                if process.pid != os.getpid() and process.environ().get("BUS_HOME") == str(self.home.root):
                    yield process
            except psutil.Error:
                continue

    def _spawn(self, command: list[str], name: str, settings: dict[str, str]) -> subprocess.Popen[bytes]:
        output = (self.home.root / f"{name}.out").open("ab")
        environment = {**self.environment, **settings}
        with output:
            return subprocess.Popen(command, env=environment, cwd=CHECKOUT, stdout=output, stderr=output, start_new_session=True)


def wait_for(condition: Callable[[], Any], what: str, timeout: float = UP_TIMEOUT) -> Any:  # whatever the condition finds
    """The first true value of `condition`, polled; fails the test after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    return pytest.fail(f"waited {timeout} s in vain for {what}")


@pytest.fixture(scope="session")
def compile_cache() -> Iterator[Path]:
    """One cache for all tests of this checkout, kept between runs: compiling is most of a short training's time."""
    checkout = hashlib.sha256(sys.prefix.encode()).hexdigest()[:8]
    folder = Path(tempfile.gettempdir()) / f"zeropoint-tests-{os.getuid()}-{checkout}" / "cache"
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    yield folder


@pytest.fixture
def appliance(compile_cache: Path) -> Iterator[Appliance]:
    with running(compile_cache) as appliance:
        yield appliance


@pytest.fixture
def another(compile_cache: Path) -> Iterator[Appliance]:
    """A second appliance beside the first, as on another machine."""
    with running(compile_cache) as appliance:
        yield appliance


@contextlib.contextmanager
def running(compile_cache: Path) -> Iterator[Appliance]:
    """An appliance, whose processes have all left in the end."""
    root = Path(tempfile.mkdtemp(prefix="zp-"))
    appliance = Appliance(root, compile_cache)
    try:
        yield appliance
        appliance.leave()
        for process in appliance.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        psutil.wait_procs([psutil.Process(process.pid) for process in appliance.processes.values() if process.poll() is None], STOP_TIMEOUT)
    finally:
        left = appliance.end()
        shutil.rmtree(root, ignore_errors=True)
    assert not left, f"processes that the appliance left behind: {left}"


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]
