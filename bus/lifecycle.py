"""What every agent says of itself, and supervisors and readers of others: the bus's own topics.

They live here and not in `schemas` because the bus publishes them and knows no domain.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from bus.topic import LATEST, Topic

AgentState = Literal["starting", "running", "waiting", "done", "degraded", "unavailable", "stopping"]
PartKind = Literal["real", "simulated", "recorded", "unavailable"]


class Part(Struct, frozen=True, kw_only=True):
    """One thing that an agent measures, computes or shows, and what stands behind it."""

    name: str
    kind: PartKind
    detail: str


class Manifest(Struct, frozen=True, kw_only=True):
    """What an agent is: its outputs, inputs and commands by name, versions of what it is made of, and what is real or simulated."""

    publishes: list[str]
    reads: list[str]
    answers: list[str]
    versions: dict[str, str]
    parts: list[Part]
    settings: dict[str, str | int | float | bool | None]
    pid: int
    state: AgentState
    reason: str | None = None


class StateChanged(Struct, frozen=True, kw_only=True):
    """An agent's state, with the reason that a person would want to know."""

    state: AgentState
    reason: str | None = None


class Heartbeat(Struct, frozen=True, kw_only=True):
    """Once a second. `uptime` in seconds, `memory` resident bytes, `cpu` busy share of one core (0 to 1) since the last one.

    `published` counts events by topic since the start, `late` names topics slower than their declared rate.
    `waiting` counts events not yet acknowledged, `undecodable` frames or data that no handler could be given,
    `dropped` LATEST events that found no room in the socket, `restarts` what the supervisor has seen. Of what it reads, `received`
    counts events, `filled` those among them that were lost on the way and came from the log, `gaps` stretches that could not be
    had; `behind`: it waits for older events at this moment. `measures` are figures of its own, by name with unit.
    """

    state: AgentState
    uptime: float
    memory: int
    cpu: float
    restarts: int
    published: dict[str, int]
    received: int
    undecodable: int
    dropped: int
    waiting: int
    filled: int = 0
    gaps: int = 0
    behind: bool = False
    late: list[str] = []
    reason: str | None = None
    measures: dict[str, float] = {}


class HandlerError(Struct, frozen=True, kw_only=True):
    """An exception in a handler, a timer or a command of an agent, which goes on."""

    handler: str
    error: str
    message: str
    traceback: str


class Rejected(Struct, frozen=True, kw_only=True):
    """Frames or data that did not decode: at most one event a topic and minute, with the count since the last one.

    `topic` is what the frame claims, cut to 255 characters; `sample` the first bytes of one, in hexadecimal.
    """

    topic: str
    count: int
    reason: str
    sample: str


class Exited(Struct, frozen=True, kw_only=True):
    """A supervisor saw its process end, after `uptime` seconds. `signal` names what killed it.

    `delay` is the time until the restart in seconds, null: none.
    """

    agent: str
    pid: int
    code: int | None
    signal: str | None
    uptime: float
    restarts: int
    delay: float | None


class EnvironmentChanged(Struct, frozen=True, kw_only=True):
    """How far a supervisor is with the environment of its own that `agent` has, `.venvs/AGENT` (docs/agents.md).

    While it is `making` it, `done` of `total` steps are done (0 of 0: not begun), and `doing` says what it is at. `reason` says why it
    `failed`, and what to do. A supervisor whose agent has one says at each start how it is.
    """

    agent: str
    state: Literal["making", "ready", "failed"]
    done: int = 0
    total: int = 0
    doing: str | None = None
    reason: str | None = None


class Stopped(Struct, frozen=True, kw_only=True):
    """An agent leaves: its last event, before it flushes. `uptime` in seconds."""

    uptime: float


MANIFEST = Topic("agent.manifest", Manifest)
STATE = Topic("agent.state", StateChanged)
HEARTBEAT = Topic("agent.heartbeat", Heartbeat, delivery=LATEST, rate_hz=1)
ERROR = Topic("agent.error", HandlerError)
REJECTED = Topic("agent.rejected", Rejected)
EXITED = Topic("agent.exited", Exited)
ENVIRONMENT = Topic("agent.environment", EnvironmentChanged)
STOPPED = Topic("agent.stopped", Stopped)

TOPICS = (MANIFEST, STATE, HEARTBEAT, ERROR, REJECTED, EXITED, ENVIRONMENT, STOPPED)
SUPERVISED = (EXITED, ENVIRONMENT)
"""Those that an agent's supervisor says of it."""
