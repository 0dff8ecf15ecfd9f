"""Runs an agent as a process: lock, settings, connection, handlers, timers, heartbeat, signals, and the way out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time as clock
from typing import Any, TypeVar

import structlog

from bus.address import ipc_addresses
from bus.agent import Agent, Timer
from bus.client import Client
from bus.dispatch import Dispatch, finished
from bus.errors import BusError, BusFull, BusTimeout, NoHub
from bus.gap import RETRY_SECONDS
from bus.heartbeat import Pulse, manifest
from bus.history import LAST, Fetched
from bus.home import Home
from bus.lifecycle import HEARTBEAT, MANIFEST, REJECTED, STATE, STOPPED, AgentState, StateChanged, Stopped
from bus.lock import hold
from bus.parent import is_orphaned
from bus.reader import Reader
from bus.settings import load
from bus.subscriber import Subscriber
from bus.topic import Delivery, Topic
from bus.wire import RECORDED

T = TypeVar("T")

HUB_PATIENCE = 5.0
"""Seconds after which an agent says that it waits for the hub; agents start in any order."""
FLUSH_TIMEOUT = 2.0
LIVENESS_SECONDS = 1.0
_HUB_POLL = 0.2
_BATCH = 200

_log = structlog.get_logger()


def serve(kind: type[Agent], home: Home) -> None:
    """Be the agent `kind` of this appliance until SIGTERM. Raises LockHeld, BadSettings, and what the agent's `start` raises."""
    home.prepare()
    with hold(home.lock(kind.name), f"the agent {kind.name}"):
        os.nice(kind.nice)
        settings = load(kind.Settings, kind.name, home.settings)
        asyncio.run(_run(kind, home, settings))


class AgentBus:
    """The bus as an agent sees it."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def publish(
        self,
        topic: Topic[T],
        data: T,
        *,
        run: str | None = None,
        cause: str | None = None,
        time: int | None = None,
        attachments: tuple[bytes, ...] = (),
    ) -> str:
        return self.client.publish(topic, data, run=run, cause=cause, time=time, attachments=attachments)

    def flush(self, timeout: float) -> None:
        self.client.flush(timeout)

    def state_changed(self, state: AgentState, reason: str | None) -> None:
        _log.info(state, **({"reason": reason} if reason else {}))
        with contextlib.suppress(BusFull):  # the heartbeat carries it all the same, and nobody may wait only to say how it is
            self.client.publish(STATE, StateChanged(state=state, reason=reason), timeout=0)


async def _run(kind: type[Agent], home: Home, settings: Any) -> None:  # settings: the agent's own struct
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    client = Client(kind.name, ipc_addresses(home))
    try:
        agent = kind(AgentBus(client), settings, home.artifacts)
        agent.connected(client)
        runtime = Runtime(agent, client, stopping)
        if await runtime.reach_hub():
            await runtime.run()
    finally:
        await asyncio.to_thread(client.abandon)


class Runtime:
    """One agent's life, from the hub's answer to the last acknowledgement. `stopping` ends it."""

    def __init__(self, agent: Agent, client: Client, stopping: asyncio.Event) -> None:
        self.agent = agent
        self.client = client
        self.stopping = stopping
        self.dispatch = Dispatch(agent, client, stopping.set)
        self.pulse = Pulse(agent, client, self.dispatch)

    async def reach_hub(self) -> bool:
        """Wait for the hub, however long it takes. False where the agent was told to stop before."""
        warn_at = clock.monotonic() + HUB_PATIENCE
        while not (self.stopping.is_set() or is_orphaned()):
            try:
                await asyncio.to_thread(self.client.await_ready, _HUB_POLL)
                return True
            except (NoHub, BusTimeout):
                if clock.monotonic() >= warn_at:
                    _log.warning("still waiting for the hub: is its process running?")
                    warn_at = float("inf")
        return False

    async def run(self) -> None:
        """Start the agent, serve it until it is told to stop, and leave with everything on disk.

        Raises what ended one of the runtime's own tasks: without it the agent would be deaf or dumb, and a supervisor restarts it.
        """
        subscriber = Subscriber(
            self.client.context,
            self.client.addresses,
            [*self.dispatch.patterns, *([RECORDED] if self.dispatch.topics else [])],
            on_rejected=self.client.rejections.add,
            newest_only=True,
        )
        try:
            if await self._start_agent():
                try:
                    await self._serve(subscriber)
                finally:
                    await self.dispatch.close()
                    await self.dispatch.guard("close")
        finally:
            subscriber.close()
        if self.dispatch.failure is not None:
            raise self.dispatch.failure

    async def _start_agent(self) -> bool:
        """False: it was told to stop before it had started, and its `start` was cancelled. Raises what `start` raises."""
        starting = asyncio.ensure_future(finished(self.agent.start()))
        told = asyncio.ensure_future(self.stopping.wait())
        either: set[asyncio.Future[Any]] = {starting, told}  # Any: neither's result is wanted
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if starting.done():
            starting.result()
            return True
        starting.cancel()
        await asyncio.wait([starting], timeout=self.agent.stop_seconds)
        return False

    async def _serve(self, subscriber: Subscriber) -> None:
        """Be of use from the manifest to the last flush."""
        if self.agent.state == "starting":
            self.agent.set_state("running")
        self.client.publish(MANIFEST, manifest(self.agent, self.dispatch))
        opening = asyncio.ensure_future(asyncio.to_thread(self.client.open_reader, subscriber, self.dispatch.topics))
        try:
            reader = await self._opened(opening)
            if reader is not None:
                self._begin(subscriber, reader)
            await self.stopping.wait()
            await self._leave()
        finally:
            await asyncio.gather(opening, return_exceptions=True)  # its thread uses the subscriber, which is closed next

    async def _opened(self, opening: asyncio.Future[Reader]) -> Reader | None:
        """What was opened, None where the agent was told to stop before that. Raises what opening it raised."""
        told = asyncio.ensure_future(self.stopping.wait())
        either: set[asyncio.Future[Any]] = {opening, told}  # Any: one gives a reader, the other nothing
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        return opening.result() if opening.done() else None

    def _begin(self, subscriber: Subscriber, reader: Reader) -> None:
        """Start reading, the timers and the heartbeat."""
        self.pulse.gaps = reader.gaps
        self.dispatch.spawn(self._read(subscriber, reader))
        if self.dispatch.remembered:
            self.dispatch.spawn(self._remember(reader))
        self.dispatch.spawn(self._live())
        for timer in self.dispatch.timers:
            self.dispatch.spawn(self._tick(timer))

    async def _leave(self) -> None:
        """Stop the agent, see everything it published onto the disk, and say so."""
        self.agent.state = "stopping"
        await self._stop_agent()
        await self.dispatch.close()
        with contextlib.suppress(BusFull):  # the flush says what is missing
            self.client.publish(STOPPED, Stopped(uptime=self.pulse.uptime), timeout=0)
        try:
            await asyncio.to_thread(self.client.flush, FLUSH_TIMEOUT)
        except BusTimeout as error:
            _log.error("leaving with events that are not on disk", reason=str(error))

    async def _stop_agent(self) -> None:
        """Let the agent end its work, for as long as it may: what it published is to be on disk before its supervisor kills it."""
        try:
            await asyncio.wait_for(self.dispatch.guard("stop"), self.agent.stop_seconds)
        except TimeoutError:
            self.dispatch.report("stop", TimeoutError(f"it did not end within {self.agent.stop_seconds} s, and was cancelled"))

    async def _read(self, subscriber: Subscriber, reader: Reader) -> None:
        """Deliver what arrives, and what of it is lost on the way once the recorder has given it: meanwhile all else goes on."""
        page: asyncio.Future[Fetched | None] | None = None
        while True:
            if page is not None and page.done():
                for event in reader.fill(page.result()):
                    await self.dispatch.deliver(event)
                page = None
            for event in reader.take(_BATCH):
                await self.dispatch.deliver(event)
            if page is None and (wanted := reader.wanted()) is not None:
                page = asyncio.ensure_future(asyncio.to_thread(self.client.fetch_missing, wanted))
            if subscriber.wait(0):
                await asyncio.sleep(0)
            else:
                await _readable(subscriber, RETRY_SECONDS if reader.is_behind else None, page)

    async def _remember(self, reader: Reader) -> None:
        """The last values from before the start, as soon as there is a recorder to ask."""
        recorder = f"command.{LAST.agent}.".encode()
        while not await asyncio.to_thread(
            self.client.publisher.listeners.wait_until, Delivery.DURABLE, lambda heard: recorder in heard, 1.0
        ):
            continue
        try:
            found = await asyncio.to_thread(self.client.newest, self.dispatch.remembered, reader.begun)
        except BusError as error:
            _log.warning("starting without the last values", topics=self.dispatch.remembered, reason=str(error))
            return
        for event in reader.history(found):
            await self.dispatch.remember(event)

    async def _tick(self, timer: Timer) -> None:
        """Call a timer's handler at its period; what a slow call misses is left out."""
        due = clock.monotonic()
        while True:
            await self.dispatch.guard(timer.handler)
            now = clock.monotonic()
            due = max(due + timer.seconds, now - timer.seconds)
            await asyncio.sleep(max(due - now, 0.0))

    async def _live(self) -> None:
        """Once a second: the heartbeat, the reports of what did not decode, and a look at whether the supervisor still lives."""
        while True:
            self.client.publish(HEARTBEAT, self.pulse.beat())
            for rejected in self.client.rejections.due():
                with contextlib.suppress(BusFull):  # counted in the heartbeat all the same
                    self.client.publish(REJECTED, rejected, timeout=0)
            if is_orphaned():
                _log.warning("the supervisor is gone: stopping")
                self.stopping.set()
            await asyncio.sleep(LIVENESS_SECONDS)


async def _readable(subscriber: Subscriber, seconds: float | None, page: asyncio.Future[Fetched | None] | None) -> None:
    """Return when something may have arrived, the page has come, or after so long.

    The descriptors stay readable until the socket is read, so they are looked at only now.
    """
    loop, arrived = asyncio.get_running_loop(), asyncio.Event()
    for descriptor in subscriber.filenos():
        loop.add_reader(descriptor, arrived.set)
    if page is not None:
        page.add_done_callback(lambda _: arrived.set())
    try:
        if not subscriber.wait(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(arrived.wait(), seconds)
    finally:
        for descriptor in subscriber.filenos():
            loop.remove_reader(descriptor)
