"""FakeBus: drives an agent without sockets. Feed events and commands, see what it publishes."""

from __future__ import annotations

import asyncio
import inspect
import time as clock
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from bus.agent import Agent, Answer, OnTopic, Timer, table
from bus.event import Event, event_id
from bus.lifecycle import AgentState
from bus.topic import Command, Topic

T = TypeVar("T")
Request = TypeVar("Request")
Reply = TypeVar("Reply")
A = TypeVar("A", bound=Agent)


class FakeBus:
    """An in-memory bus for one agent.

    `events` holds what was published, each checked by an encode and decode, and `states` what the agent said of itself.
    """

    def __init__(self) -> None:
        self.events: list[Event[Any]] = []  # of every topic that the agent publishes
        self.states: list[tuple[AgentState, str | None]] = []
        self.epoch = clock.time_ns()

    def publish(self, topic: Topic[T], data: T, *, run: str | None = None, cause: str | None = None, time: int | None = None) -> str:
        seq = len(self.events) + 1
        checked = msgspec.msgpack.decode(msgspec.msgpack.encode(data), type=topic.type)
        event = Event(
            topic=topic.name, source="test", time=time or clock.time_ns(), data=checked,
            epoch=self.epoch, seq=seq, cause=cause, run=run,
        )  # fmt: skip
        self.events.append(event)
        return event_id("test", topic.name, self.epoch, seq)

    def flush(self, timeout: float) -> None:
        """Nothing to wait for: what was published is in `events`."""

    def state_changed(self, state: AgentState, reason: str | None) -> None:
        self.states.append((state, reason))

    def published(self, topic: Topic[T]) -> list[T]:
        """The data of every event of `topic`, in order."""
        return [event.data for event in self.events if event.topic == topic.name]


class Harness(Generic[A]):
    """One agent on a FakeBus: `await harness.start()`, then feed, call and tick it as the runtime would."""

    def __init__(self, agent: type[A], artifacts: Path, settings: Any = None) -> None:
        self.bus = FakeBus()
        self.agent = agent(self.bus, settings if settings is not None else agent.Settings(), artifacts)

    async def start(self) -> None:
        await _finished(self.agent.start())

    async def stop(self) -> None:
        await _finished(self.agent.stop())

    async def feed(self, topic: Topic[T], data: T, *, run: str | None = None, replay: bool = False) -> None:
        """Deliver one event to the handlers of `topic`."""
        event = Event(topic=topic.name, source="fed", time=clock.time_ns(), data=data, epoch=1, seq=1, run=run, replay=replay)
        for entry in table(type(self.agent)):
            if isinstance(entry, OnTopic) and entry.topic == topic and (entry.replayed or not replay):
                await _finished(getattr(self.agent, entry.handler)(event))

    async def call(self, command: Command[Request, Reply], request: Request) -> Reply:
        """Let the agent answer `command`; CommandRefused passes through."""
        for entry in table(type(self.agent)):
            if isinstance(entry, Answer) and entry.command == command:
                reply: Reply = await _finished(getattr(self.agent, entry.handler)(request))
                return reply
        raise LookupError(f"{self.agent.name} answers no {command.name}")

    async def tick(self, handler: str) -> None:
        """Run one timer's method once."""
        names = [entry.handler for entry in table(type(self.agent)) if isinstance(entry, Timer)]
        if handler not in names:
            raise LookupError(f"{self.agent.name} has no timer {handler!r}, only {names}")
        await _finished(getattr(self.agent, handler)())


async def _finished(result: Any) -> Any:  # a handler's own return value, awaited where it is a coroutine
    return await result if inspect.isawaitable(result) else result


def run(coroutine: Any) -> Any:  # what the coroutine returns
    """Run one coroutine to its end, at most a minute."""
    return asyncio.run(asyncio.wait_for(coroutine, 60))
