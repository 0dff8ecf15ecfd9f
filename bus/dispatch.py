"""Routes what an agent receives to its handlers, and turns their exceptions into events."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import traceback
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from bus.agent import Agent, Answer, OnTopic, Timer, table
from bus.client import Client
from bus.commands import Commands
from bus.errors import BusFull, CommandRefused, CorruptFrame
from bus.event import Event
from bus.lifecycle import ERROR, HandlerError
from bus.subscriber import Received
from bus.wire import encodable, to_event

WAITING_EVENTS = 1000
"""Events that wait for one async handler before the agent stops reading."""
_TRACEBACK = 8000
_MESSAGE = 2000

_log = structlog.get_logger()


class Dispatch:
    """The handlers of one agent. Plain ones run at once, in order; each async one has a queue and a task of its own.

    `failure` is what ended a task that should never end by itself; `on_failure` is called then.
    """

    def __init__(self, agent: Agent, client: Client, on_failure: Callable[[], None]) -> None:
        self.received = 0
        self._met: set[str] = set()
        self.failure: Exception | None = None
        self._on_failure = on_failure
        self._agent = agent
        self._client = client
        self._handlers: dict[str, list[OnTopic]] = defaultdict(list)
        self._queues: dict[str, asyncio.Queue[Event[Any]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        entries = list(table(type(agent)))
        self.timers = [entry for entry in entries if isinstance(entry, Timer)]
        self.answers = [entry for entry in entries if isinstance(entry, Answer)]
        for entry in entries:
            if isinstance(entry, OnTopic):
                self._handlers[entry.topic.name].append(entry)
        self._commands = Commands(self.answers, client.publisher, self._run_command)

    @property
    def topics(self) -> list[str]:
        """What the handlers read."""
        return list(self._handlers)

    @property
    def remembered(self) -> list[str]:
        """The topics of which a handler wants the last event from before the start, as long as none has come since."""
        wanted = [name for name, entries in self._handlers.items() if any(entry.last for entry in entries)]
        return [name for name in wanted if name not in self._met]

    @property
    def patterns(self) -> list[str]:
        """What to subscribe to: the handlers' topics, and the prefix of this agent's commands."""
        return [*self._handlers, f"command.{self._agent.name}."]

    async def deliver(self, event: Received) -> None:
        """Hand one event to its handlers. Waits while an async handler's queue is full."""
        if event.topic.startswith("command."):
            self.spawn(self._answer(event))
            return
        self.received += 1
        self._met.add(event.topic)
        for entry in self._handlers.get(event.topic, ()):
            if entry.replayed or not event.envelope.replay:
                await self._handle(entry, event)

    async def remember(self, event: Received) -> None:
        """Hand the last event from before the start to the handlers that want it, unless a newer one came first."""
        for entry in self._handlers.get(event.topic, ()) if event.topic in self.remembered else ():
            if entry.last and (entry.replayed or not event.envelope.replay):
                await self._handle(entry, event)

    def spawn(self, coroutine: Awaitable[None]) -> None:
        """Run a coroutine as a task that `close` cancels; what it raises is this agent's failure."""
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Cancel what still runs and wait for it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def report(self, handler: str, error: Exception) -> None:
        """Publish an exception as `agent.error`, without ever blocking on it."""
        message = encodable(str(error))[:_MESSAGE]
        text = encodable("".join(traceback.format_exception(error)))[-_TRACEBACK:]
        _log.error("handler failed", handler=handler, error=type(error).__name__, message=message)
        data = HandlerError(handler=handler, error=type(error).__name__, message=message, traceback=text)
        with contextlib.suppress(BusFull):  # it is in the operator's log, and blocking here would hide more
            self._client.publish(ERROR, data, timeout=0)

    async def guard(self, handler: str, *arguments: Any) -> None:  # Any: what the handler takes
        """Call a handler; its exception is reported, and the agent goes on."""
        try:
            await finished(getattr(self._agent, handler)(*arguments))
        except Exception as error:  # the boundary between an agent's code and its runtime
            self.report(handler, error)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self.failure = self.failure or error
            self._on_failure()

    async def _handle(self, entry: OnTopic, received: Received) -> None:
        try:
            event = to_event(received.topic, received.envelope, entry.topic.type, received.attachments)
        except CorruptFrame as error:
            self._client.rejections.add(received.topic, received.event_map, str(error))
            return
        if inspect.iscoroutinefunction(getattr(self._agent, entry.handler)):
            await self._queue(entry.handler).put(event)
        else:
            await self.guard(entry.handler, event)

    def _queue(self, handler: str) -> asyncio.Queue[Event[Any]]:
        if handler not in self._queues:
            self._queues[handler] = asyncio.Queue(WAITING_EVENTS)
            self.spawn(self._work_off(handler, self._queues[handler]))
        return self._queues[handler]

    async def _work_off(self, handler: str, waiting: asyncio.Queue[Event[Any]]) -> None:
        while True:
            await self.guard(handler, await waiting.get())

    async def _answer(self, event: Received) -> None:
        try:
            await self._commands.answer(event)
        except CorruptFrame as error:
            self._client.rejections.add(event.topic, event.event_map, str(error))
        except Exception as error:  # one caller's trouble, not this agent's failure
            self.report(event.topic, error)

    async def _run_command(self, entry: Answer, request: Any, seconds: float) -> Any:  # as the command declares
        try:
            return await asyncio.wait_for(finished(getattr(self._agent, entry.handler)(request)), seconds)
        except (CommandRefused, TimeoutError):
            raise
        except Exception as error:
            self.report(entry.handler, error)
            raise


async def finished(result: Any) -> Any:  # a handler's own result
    """The result of a plain or an async handler."""
    return await result if inspect.isawaitable(result) else result
