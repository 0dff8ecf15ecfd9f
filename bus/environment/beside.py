"""Makes an agent's environment beside the agent: on a thread of its supervisor, which says on the bus how far it is."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field

import structlog

from bus.address import ipc_addresses
from bus.client import Client
from bus.environment.command import POLL
from bus.environment.errors import EnvironmentFailed
from bus.environment.making import make
from bus.environment.place import Place
from bus.environment.progress import Throttle, described
from bus.errors import BusError, BusFull, BusTimeout
from bus.home import Home
from bus.lifecycle import ENVIRONMENT, EnvironmentChanged

_log = structlog.get_logger()


@dataclass(slots=True)
class Making:
    """Owns the thread. Where the agent ships no lock, nothing happens."""

    place: Place
    home: Home
    _cancelled: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def begin(self) -> None:
        if self.place.lock.is_file():
            self._thread = threading.Thread(target=self._work, name="environment", daemon=True)
            self._thread.start()

    def cancel(self) -> None:
        """End it; what is unfinished is made anew by the next start."""
        self._cancelled.set()

    def join(self, patience: float) -> None:
        """Wait until nothing that it started runs any more."""
        if self._thread is not None:
            self._thread.join(patience)

    def _work(self) -> None:
        client = Client(f"supervisor-{self.place.name}", ipc_addresses(self.home))
        try:
            self._publish(client)
            self._deliver(client)
        except BusError as error:
            _log.error("what came of its environment could not be reported", process=self.place.name, reason=str(error))
        finally:
            client.abandon()

    def _publish(self, client: Client) -> None:
        throttle = Throttle()
        with contextlib.closing(self._changes()) as changes:
            for change in changes:
                if self._cancelled.is_set():
                    return
                if throttle.passes(change, time.monotonic()):
                    (_log.error if change.state == "failed" else _log.info)(described(change), process=self.place.name)
                    with contextlib.suppress(BusFull):  # nobody takes it: the making goes on all the same
                        client.publish(ENVIRONMENT, change, timeout=0)

    def _deliver(self, client: Client) -> None:
        """Return when all is on disk, or it is cancelled: hub and recorder may only be starting."""
        while not self._cancelled.is_set():
            with contextlib.suppress(BusTimeout):
                client.flush(POLL)
                return

    def _changes(self) -> Generator[EnvironmentChanged]:
        """How far it is, up to the end, be that good or bad."""
        try:
            yield from make(self.place)
        except (EnvironmentFailed, OSError) as error:
            yield self._failed(str(error))
        except Exception as error:  # whoever waits for it is to know that it does not come
            _log.exception("making its environment ended by an error", process=self.place.name)
            yield self._failed(f"{type(error).__name__}: {error}")

    def _failed(self, reason: str) -> EnvironmentChanged:
        name, log = self.place.name, self.place.log
        said = f"; all that pip said is in {log}" if log.is_file() else ""
        return EnvironmentChanged(agent=name, state="failed", reason=f"{reason}{said}; to try again: ./dev environment {name}")
