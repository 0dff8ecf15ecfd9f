"""An appliance for a benchmark: some of its processes, in a home of their own, and a client that follows them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks._processes import Child, Stage, stage
from bus.address import ipc_addresses
from bus.client import Client
from bus.home import Home
from bus.topic import Delivery

UP_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Running:
    """Processes that run below `home`, and a client of theirs."""

    home: Home
    client: Client
    stage: Stage

    def start(self, name: str, **settings: str) -> Child:
        """Start an agent, and return when it takes commands. Raises ChildFailed."""
        child = self.stage.start(
            name, [sys.executable, "-m", "bus.process", name], {"BUS_HOME": str(self.home.root), **settings}, speaks=False
        )
        self.client.publisher.listeners.wait_until(Delivery.DURABLE, lambda heard: f"command.{name}.".encode() in heard, UP_TIMEOUT)
        child.check()
        return child


@contextmanager
def appliance(folder: Path) -> Iterator[Running]:
    """Hub and recorder in `folder`. Raises ChildFailed, NoHub."""
    home = Home(folder)
    home.prepare()
    with stage(folder) as opened:
        opened.start("hub", [sys.executable, "-m", "bus.process", "hub"], {"BUS_HOME": str(folder)}, speaks=False)
        client = Client("benchmark", ipc_addresses(home))
        try:
            client.await_ready(UP_TIMEOUT)
            running = Running(home, client, opened)
            running.start("recorder")
            yield running
        finally:
            client.abandon()
