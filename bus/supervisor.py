"""One Procfile line: keeps one process alive. Restarts it with growing delays, reports each exit, and ends it in time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time as clock
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from bus.address import ipc_addresses
from bus.client import Client
from bus.environment.beside import Making
from bus.environment.place import AGENTS, ENVIRONMENTS, Place
from bus.errors import BusError
from bus.home import Home, find_home
from bus.lifecycle import EXITED, Exited
from bus.parent import SUPERVISOR
from bus.process import EXIT_LOCKED
from bus.stop import Stop

FIRST_DELAY = 0.5
LAST_DELAY = 30.0
HEALTHY_SECONDS = 60.0
"""An uptime after which the next failure counts as the first one."""
FAILURES = 8
"""Failures in a row after which the supervisor gives up, says so, and stays."""
PATIENCE = {"hub": 4.8, "recorder": 4.6}
"""Seconds from SIGTERM to SIGKILL: the recorder leaves after everybody's last event, the hub after the recorder."""
AGENT_PATIENCE = 3.0
REPORT_TIMEOUT = 10.0
MAKING_PATIENCE = 1.0
"""Seconds that what makes an environment gets to end, while the agent ends."""

_log = structlog.get_logger()


@dataclass(slots=True)
class Backoff:
    """Decides the delay before the next start. Pure."""

    failures: int = 0

    def after(self, uptime: float) -> float | None:
        """Seconds to wait after an exit with this uptime; None when it is time to give up."""
        self.failures = 1 if uptime >= HEALTHY_SECONDS else self.failures + 1
        if self.failures >= FAILURES:
            return None
        return min(FIRST_DELAY * 2.0 ** (self.failures - 1), LAST_DELAY)


def supervise(name: str, agents: Path = AGENTS, environments: Path = ENVIRONMENTS) -> int:
    """Keep the process NAME of the appliance alive until SIGTERM, SIGINT, SIGHUP or the loss of the parent. Returns the exit code.

    An agent that ships a lock in `agents` gets the environment that this asks for below `environments`, made beside it.
    """
    home = find_home()
    home.prepare()
    supervisor = Supervisor(name, home, Making(Place(name, agents, environments), home))
    supervisor.stopping.on_signals()
    return supervisor.run()


@dataclass(slots=True)
class Supervisor:
    """Owns one child process at a time, and the making of its environment."""

    name: str
    home: Home
    making: Making
    restarts: int = 0
    backoff: Backoff = field(default_factory=Backoff)
    stopping: Stop = field(default_factory=Stop)
    parent: int = field(default_factory=os.getppid)

    def run(self) -> int:
        """Start, wait, restart. 75 where the name's lock is held by another process; 0 after a stop."""
        self.making.begin()
        try:
            return self._keep_alive()
        finally:
            self.making.cancel()
            self.making.join(MAKING_PATIENCE)

    def _keep_alive(self) -> int:
        while not self.stopping.is_set:
            started = clock.monotonic()
            child = self._start()
            self._watch(child)
            if self.stopping.is_set:
                self._end(child)
                return 0
            if child.returncode == EXIT_LOCKED:
                return EXIT_LOCKED
            delay = self.backoff.after(clock.monotonic() - started)
            self._report(child, clock.monotonic() - started, delay)
            self._pause(delay)
            self.restarts += 1
        return 0

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            **caches(self.home),
            "BUS_HOME": str(self.home.root),
            "BUS_RESTARTS": str(self.restarts),
            SUPERVISOR: str(os.getpid()),
        }
        return subprocess.Popen([sys.executable, "-m", "bus.process", self.name], env=environment, stdin=subprocess.DEVNULL)

    def _watch(self, child: subprocess.Popen[bytes]) -> None:
        """Return when the child has ended or this supervisor has to."""
        while not self.stopping.is_set:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(0.2)
                return
            if os.getppid() != self.parent:
                self.stopping.set()

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        self.making.cancel()
        child.terminate()
        try:
            child.wait(PATIENCE.get(self.name, AGENT_PATIENCE))
        except subprocess.TimeoutExpired:
            _log.error("did not leave in time: killed", process=self.name, pid=child.pid)
            child.kill()
            child.wait()

    def _pause(self, delay: float | None) -> None:
        """Wait before the next start; having given up, until the stop."""
        if delay is None:
            _log.error("gave up: mend it and start the appliance again", process=self.name, failures=self.backoff.failures)
        until = float("inf") if delay is None else clock.monotonic() + delay
        while clock.monotonic() < until and not self.stopping.wait(0.2):
            if os.getppid() != self.parent:
                self.stopping.set()

    def _report(self, child: subprocess.Popen[bytes], uptime: float, delay: float | None) -> None:
        code = child.returncode
        ended_by = signal.Signals(-code).name if code < 0 else None
        _log.error("ended", process=self.name, code=code, signal=ended_by, restart_in=delay)
        exited = Exited(
            agent=self.name,
            pid=child.pid,
            code=code if code >= 0 else None,
            signal=ended_by,
            uptime=uptime,
            restarts=self.restarts,
            delay=delay,
        )
        # On a thread: the report of the hub's own exit waits for the hub that this supervisor is about to start.
        threading.Thread(target=publish_exit, args=(self.name, self.home, exited), daemon=True).start()


def publish_exit(name: str, home: Home, exited: Exited) -> None:
    """Put one exit onto the bus; what cannot be said there stays in the operator's log."""
    client = Client(f"supervisor-{name}", ipc_addresses(home))
    try:
        client.await_ready(REPORT_TIMEOUT)
        client.publish(EXITED, exited)
        client.flush(REPORT_TIMEOUT)
    except BusError as error:
        _log.error("the exit could not be reported", process=exited.agent, reason=str(error))
    finally:
        client.abandon()


def caches(home: Home) -> Mapping[str, str]:
    """The environment that keeps every library's cache under BUS_HOME."""
    cache = home.cache
    return {
        "XDG_CACHE_HOME": str(cache),
        "CACHEDB": str(cache / "tinygrad.db"),
        "ZIG_GLOBAL_CACHE_DIR": str(cache / "zig"),
        "HF_HOME": str(cache / "huggingface"),
        "MPLCONFIGDIR": str(cache / "matplotlib"),
    }


def names(home: Home) -> list[str]:
    """The processes that the Procfile of this appliance starts, in its order."""
    lines = home.procfile.read_text().splitlines()
    return [line.partition(":")[0].strip() for line in lines if ":" in line and not line.startswith("#")]
