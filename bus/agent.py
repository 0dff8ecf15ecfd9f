"""What an agent is: its tables (inputs, outputs, commands, timers) and what a handler may use. `bus.runtime` runs it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import structlog
from msgspec import Struct

from bus.client import Client
from bus.errors import NotDeclared
from bus.lifecycle import AgentState, Part, PartKind
from bus.topic import Command, Topic

MOST_MEASURES = 8
"""Of an agent: a heartbeat is small, and so is a screen."""

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])  # a handler: its own annotations say what it takes


class NoSettings(Struct, frozen=True, kw_only=True):
    """An agent without settings."""


class Bus(Protocol):
    """What an agent needs of the bus: the client has it, and so has FakeBus."""

    def publish(
        self,
        topic: Topic[T],
        data: T,
        *,
        run: str | None = None,
        cause: str | None = None,
        time: int | None = None,
        attachments: tuple[bytes, ...] = (),
    ) -> str: ...

    def flush(self, timeout: float) -> None: ...

    def state_changed(self, state: AgentState, reason: str | None) -> None: ...


class Publish(Protocol):
    """An agent's `publish`, for what an agent is made of."""

    def __call__(self, topic: Topic[T], data: T, *, run: str | None = None) -> str: ...


@dataclass(frozen=True, slots=True)
class OnTopic:
    topic: Topic[Any]  # a table holds topics of every struct
    handler: str
    replayed: bool
    last: bool


@dataclass(frozen=True, slots=True)
class Answer:
    command: Command[Any, Any]  # as above
    handler: str


@dataclass(frozen=True, slots=True)
class Timer:
    seconds: float
    handler: str


def on(topic: Topic[Any], *, replayed: bool = False, last: bool = False) -> Callable[[F], F]:
    """Call the method with each event of `topic`; with replayed ones too if it says so.

    With `last`, also with the newest one that was recorded before the agent started.
    """
    return _mark(lambda name: OnTopic(topic, name, replayed, last))


def answers(command: Command[Any, Any]) -> Callable[[F], F]:
    """Answer `command` with what the method returns. It may raise CommandRefused(code, message)."""
    return _mark(lambda name: Answer(command, name))


def every(*, seconds: float) -> Callable[[F], F]:
    """Call the method every `seconds`, never twice at once; a late call is not made up for."""
    return _mark(lambda name: Timer(seconds, name))


def _mark(entry: Callable[[str], OnTopic | Answer | Timer]) -> Callable[[F], F]:
    def decorate(method: F) -> F:
        method.__bus_table__ = (*getattr(method, "__bus_table__", ()), entry(method.__name__))  # type: ignore[attr-defined]  # the mark
        return method

    return decorate


class Agent:
    """One process on the bus. Subclass it, name its outputs in `publishes`, decorate its methods.

    `name` defaults to the class's name in lower case; `nice` is the niceness of its process, 10 for heavy computing; `stop_seconds`
    is how long an async `stop` may take.
    Handlers may be plain or async; plain ones run on the event loop and must be quick. `start`, `stop` and `close` may be
    overridden, plain or async. Publishing is safe from any thread. `rates` is what each topic promises, in events a second;
    `versions` what the agent is made of, for its manifest. `measures` are figures that a person wants to see in `bus top`, by name with
    unit (`motion to photon p50, ms`): the first MOST_MEASURES are shown.
    """

    name: ClassVar[str]
    nice: ClassVar[int] = 0
    stop_seconds: ClassVar[float] = 1.0
    publishes: ClassVar[tuple[Topic[Any], ...]] = ()
    Settings: ClassVar[type[Struct]] = NoSettings

    def __init_subclass__(cls) -> None:
        if "name" not in cls.__dict__:
            cls.name = cls.__name__.lower()

    def __init__(self, bus: Bus, settings: Any, artifacts: Path) -> None:  # settings: this class's Settings
        self.bus = bus
        self.settings = settings
        self.artifacts = artifacts
        self.log = structlog.get_logger().bind(agent=self.name)
        self.state: AgentState = "starting"
        self.reason: str | None = None
        self.parts: list[Part] = []
        self.versions: dict[str, str] = {}
        self.measures: dict[str, float] = {}
        self.rates = {topic.name: topic.rate_hz for topic in self.publishes if topic.rate_hz}

    def connected(self, client: Client) -> None:
        """Called before `start`, with the connection itself, for the agent that needs more than to publish: the recorder."""

    def start(self) -> Any:  # None, or an awaitable of None
        """Called once, before the first handler. An exception here ends the process; SIGTERM meanwhile cancels an async one."""

    def stop(self) -> Any:  # None, or an awaitable of None
        """Called once on SIGTERM: end the work within `stop_seconds`, or it is cancelled and reported; the runtime flushes afterwards."""

    def close(self) -> Any:  # None, or an awaitable of None
        """Called last, when everything published is on disk."""

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
        """Publish one event and return its id; on LATEST topics with bulk behind it. Raises NotDeclared for a topic outside `publishes`."""
        if topic not in self.publishes:
            raise NotDeclared(f"{self.name} publishes {topic.name}, which is not in its publishes table: add it there")
        return self.bus.publish(topic, data, run=run, cause=cause, time=time, attachments=attachments)

    def set_state(self, state: AgentState, reason: str | None = None) -> None:
        """Say how this agent is; the reason is shown by `bus top`."""
        self.state, self.reason = state, reason
        self.bus.state_changed(state, reason)

    def declare(self, name: str, kind: PartKind, detail: str) -> None:
        """Say in the manifest what stands behind `name`: real, simulated, recorded or unavailable (why). Call it in `start`."""
        self.parts.append(Part(name=name, kind=kind, detail=detail))


def table(agent: type[Agent]) -> Iterator[OnTopic | Answer | Timer]:
    """Every entry that the decorators of `agent` made, base classes included."""
    for _, method in inspect.getmembers(agent, callable):
        yield from getattr(method, "__bus_table__", ())
