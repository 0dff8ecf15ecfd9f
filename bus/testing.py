"""Tests of agents without sockets: FakeBus and Harness drive one by hand, process replay feeds it a recorded log.

Process replay is openpilot's idea (selfdrive/test/process_replay): what the log says an agent was given goes into the agent of
today, and what comes out is compared (bus/comparison.py) with what the log says came out then.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time as clock
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

from bus.agent import Agent, Answer, OnTopic, Timer, table
from bus.errors import CommandRefused, CorruptFrame
from bus.event import Event
from bus.lifecycle import MANIFEST, STOPPED, AgentState
from bus.log.reader import read_folder
from bus.log.records import Entry
from bus.topic import LATEST, Command, Topic
from bus.wire import CommandCall, Envelope, check_attachments, decode_data, decode_envelope, encode_data, to_event

T = TypeVar("T")
Request = TypeVar("Request")
Reply = TypeVar("Reply")
A = TypeVar("A", bound=Agent)

REPLAY_TIMEOUT = 60.0
"""Seconds that a process replay may take."""


class FakeBus:
    """An in-memory bus for one agent, whose name is `source`; `now` gives the time of its events. Safe from any thread.

    `events` holds what was published, each checked by an encode and decode, `attachments` what each (by id) carried behind it, and
    `states` what the agent said of itself.
    """

    def __init__(self, source: str = "test", now: Callable[[], int] = clock.time_ns) -> None:
        self.events: list[Event[Any]] = []  # of every topic that the agent publishes
        self.states: list[tuple[AgentState, str | None]] = []
        self.attachments: dict[str, tuple[bytes, ...]] = {}
        self.source = source
        self.epoch = clock.time_ns()
        self._now = now
        self._previous: dict[str, int] = {}
        self._lock = threading.Lock()

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
        checked = decode_data(topic.name, encode_data(data), topic.type)
        if attachments and topic.delivery is not LATEST:
            raise ValueError(f"{topic.name} is durable: bulk goes into the store, its hash onto the bus")
        check_attachments(topic.name, attachments)
        with self._lock:
            seq = len(self.events) + 1
            event = Event(
                topic=topic.name, source=self.source, time=time or self._now(), data=checked, epoch=self.epoch, seq=seq,
                prev=self._previous.get(topic.name, 0), cause=cause, run=run,
            )  # fmt: skip
            self._previous[topic.name] = seq
            self.events.append(event)
            self.attachments[event.id] = attachments
        return event.id

    def flush(self, timeout: float) -> None:
        """Nothing to wait for: what was published is in `events`."""

    def state_changed(self, state: AgentState, reason: str | None) -> None:
        self.states.append((state, reason))

    def published(self, topic: Topic[T]) -> list[T]:
        """The data of every event of `topic`, in order."""
        return [event.data for event in self.events if event.topic == topic.name]


class Harness(Generic[A]):
    """One agent on a FakeBus: `await harness.start()`, then feed, call and tick it as the runtime would. An exception passes through."""

    def __init__(self, agent: type[A], artifacts: Path, settings: Any = None, bus: FakeBus | None = None) -> None:
        self.bus = bus or FakeBus(agent.name)
        self.agent = agent(self.bus, settings if settings is not None else agent.Settings(), artifacts)
        self._entries = list(table(agent))
        self._fed = 0

    async def start(self) -> None:
        await _finished(self.agent.start())

    async def stop(self) -> None:
        await _finished(self.agent.stop())

    async def close(self) -> None:
        await _finished(self.agent.close())

    async def feed(
        self,
        topic: Topic[T],
        data: T,
        *,
        source: str = "fed",
        run: str | None = None,
        cause: str | None = None,
        time: int | None = None,
        replay: bool = False,
    ) -> str:
        """Deliver one event to the handlers of `topic`, and return its id. Raises LookupError where the agent does not read the topic."""
        if topic.name not in self.reads:
            raise LookupError(f"{self.agent.name} has no handler of {topic.name}, only of {sorted(self.reads)}")
        self._fed += 1
        event = Event(
            topic=topic.name, source=source, time=time or clock.time_ns(), data=data, epoch=1, seq=self._fed, cause=cause, run=run,
            replay=replay,
        )  # fmt: skip
        await self.deliver(event)
        return event.id

    async def deliver(self, event: Event[Any]) -> None:  # of any topic that the agent reads
        """Call the handlers of the event's topic; a replayed one reaches those that ask for replays."""
        for entry in self._entries:
            if isinstance(entry, OnTopic) and entry.topic.name == event.topic and (entry.replayed or not event.replay):
                await _finished(getattr(self.agent, entry.handler)(event))

    async def call(self, command: Command[Request, Reply], request: Request) -> Reply:
        """Let the agent answer `command`; CommandRefused passes through."""
        for entry in self._entries:
            if isinstance(entry, Answer) and entry.command == command:
                reply: Reply = await _finished(getattr(self.agent, entry.handler)(request))
                return reply
        raise LookupError(f"{self.agent.name} answers no {command.name}, only {sorted(self.answers)}")

    async def tick(self, handler: str) -> None:
        """Run one timer's method once."""
        names = [timer.handler for timer in self.timers]
        if handler not in names:
            raise LookupError(f"{self.agent.name} has no timer {handler!r}, only {names}")
        await _finished(getattr(self.agent, handler)())

    def published(self, topic: Topic[T]) -> list[T]:
        """The data of every event of `topic` that the agent published, in order."""
        return self.bus.published(topic)

    @property
    def reads(self) -> dict[str, Topic[Any]]:
        """The topics that the agent has handlers of, by name."""
        return {entry.topic.name: entry.topic for entry in self._entries if isinstance(entry, OnTopic)}

    @property
    def answers(self) -> dict[str, Command[Any, Any]]:
        """The commands that the agent answers, by name."""
        return {entry.command.name: entry.command for entry in self._entries if isinstance(entry, Answer)}

    @property
    def timers(self) -> list[Timer]:
        return [entry for entry in self._entries if isinstance(entry, Timer)]


def replay_process(
    agent: type[Agent],
    log: Path | Iterable[Entry],
    artifacts: Path,
    settings: Any = None,
    *,
    commands: bool = False,
    until: Callable[[list[Event[Any]]], bool] = lambda events: True,
    timeout: float = REPLAY_TIMEOUT,
) -> list[Event[Any]]:
    """What the agent publishes when it is given what the log (a folder, or its entries) says it was given then.

    One life of the agent is replayed: from its first manifest in the log to its next, or to where it said that it stopped; everything
    where there is no manifest. Fed are the topics that it reads, in log order, one handler after the other; with `commands`, also the
    commands that it was sent. Time is log time:
    a timer is called at the beginning of that life and at its period from there on, each time before the first entry that is not earlier,
    to the last entry; events that are published get that time. What an agent reads from the system's clock is of today.
    After the last entry, an agent that works in threads is given time `until` its events are as wanted.
    An exception in a handler passes through. Raises TimeoutError after `timeout` seconds.
    """
    replay = _ProcessReplay(agent, _life(agent, log), artifacts, settings, commands, until)
    return asyncio.run(asyncio.wait_for(replay.run(), timeout))


def recorded_output(agent: type[Agent], log: Path | Iterable[Entry]) -> list[Event[Any]]:
    """What the log says that the agent published in the life that `replay_process` replays: its `publishes`, nothing else."""
    topics = {topic.name: topic.type for topic in agent.publishes}
    events = (
        to_event(entry.topic, decode_envelope(entry.topic, entry.data), topics[entry.topic])
        for entry in _life(agent, log)
        if entry.topic in topics
    )
    return [event for event in events if event.source == agent.name and not event.replay]


class _ProcessReplay:
    """One agent, fed with one stretch of a log."""

    def __init__(
        self,
        agent: type[Agent],
        entries: list[Entry],
        artifacts: Path,
        settings: Any,
        commands: bool,
        until: Callable[[list[Event[Any]]], bool],
    ) -> None:
        self._entries = entries
        self._until = until
        self._now = entries[0].log_time if entries else 0
        self._harness = Harness(agent, artifacts, settings, FakeBus(agent.name, lambda: self._now))
        self._commands = self._harness.answers if commands else {}
        self._due = {timer: self._now for timer in self._harness.timers}

    async def run(self) -> list[Event[Any]]:
        await self._harness.start()
        try:
            for entry in self._entries:
                await self._tick(entry.log_time)
                await self._feed(entry)
                await asyncio.sleep(0)  # as in _tick
            while not self._until(self._harness.bus.events):  # noqa: ASYNC110  # a thread of the agent sets no asyncio event
                await asyncio.sleep(0.01)
        finally:
            await self._harness.stop()
            await self._harness.close()
        return self._harness.bus.events

    async def _tick(self, log_time: int) -> None:
        """Call the timers that are due up to `log_time`, in the order in which they are."""
        while self._due and (timer := min(self._due, key=lambda each: self._due[each])) and self._due[timer] <= log_time:
            self._now = self._due[timer]
            self._due[timer] += round(timer.seconds * 1e9)
            await self._harness.tick(timer.handler)
            await asyncio.sleep(0)  # plain handlers never give way to the loop, which alone can see that time is up
        self._now = log_time

    async def _feed(self, entry: Entry) -> None:
        """Deliver an entry, if the agent reads it. What does not decode reached no handler then, nor does it now."""
        command = self._commands.get(entry.topic.removeprefix("command."))
        topic = self._harness.reads.get(entry.topic)
        try:
            envelope = decode_envelope(entry.topic, entry.data)
            if command is not None and entry.topic == command.topic:
                await self._call(command, envelope)
            elif topic is not None:
                await self._harness.deliver(to_event(entry.topic, envelope, topic.type))
        except CorruptFrame:
            return

    async def _call(self, command: Command[Any, Any], envelope: Envelope) -> None:
        call = decode_data(command.topic, envelope.data, CommandCall)
        request = decode_data(command.topic, call.request, command.request)
        try:
            await self._harness.call(command, request)
        except CommandRefused:  # an answer like any other, and answers are not compared
            return


def _life(agent: type[Agent], log: Path | Iterable[Entry]) -> list[Entry]:
    """The entries from the agent's first manifest to its next, or to where it said that it stopped; all of them without a manifest.

    Who sends a command as soon as the agent listens is earlier in the log than the manifest, and is answered after it.
    """
    entries = list(read_folder(log) if isinstance(log, Path) else log)
    born = [place for place, entry in enumerate(entries) if _is_of(agent, MANIFEST, entry)][:2]
    if not born:
        return entries
    early, *later = (_sent_while_starting(agent, entries, place) for place in born)
    at = entries[born[0]].log_time
    end = next((place for place in range(born[0], len(entries)) if _is_of(agent, STOPPED, entries[place])), len(entries))
    life = [entries[place] for place in range(born[0], min(end, *born[1:], len(entries))) if not later or place not in later[0]]
    return [life[0], *(entries[place]._replace(log_time=at) for place in sorted(early)), *life[1:]]


def _sent_while_starting(agent: type[Agent], entries: list[Entry], manifest: int) -> set[int]:
    """The places of commands in front of this manifest that its process, which had connected already, was sent."""
    epoch = _envelope(entries[manifest]).epoch
    commands = (place for place in range(manifest) if entries[place].topic.startswith(f"command.{agent.name}."))
    return {place for place in commands if _envelope(entries[place]).time >= epoch}


def _envelope(entry: Entry) -> Envelope:
    return decode_envelope(entry.topic, entry.data)


def _is_of(agent: type[Agent], topic: Topic[Any], entry: Entry) -> bool:  # any topic
    if entry.topic != topic.name:
        return False
    envelope = _envelope(entry)
    return envelope.source == agent.name and not envelope.replay


async def _finished(result: Any) -> Any:  # a handler's own return value, awaited where it is a coroutine
    return await result if inspect.isawaitable(result) else result


def run(coroutine: Any) -> Any:  # what the coroutine returns
    """Run one coroutine to its end, at most a minute."""
    return asyncio.run(asyncio.wait_for(coroutine, 60))
