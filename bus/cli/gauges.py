"""What `bus top` shows, worked out from what agents say of themselves. Pure: events and times in, rows out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from msgspec import Struct

from bus.event import Event
from bus.lifecycle import Exited, Heartbeat, StateChanged, Stopped
from bus.topic import Topic
from bus.wire import CONTROL_PREFIXES
from schemas.system import RecorderStatus

SILENT_AFTER = 3.0
"""Seconds without a heartbeat, of which there is one a second."""
_BEATS = 4  # over which rates are averaged
_BEHIND = "behind: it reads from the log what it missed"


class AgentRow(Struct, frozen=True, kw_only=True):
    """One process. Uptime in seconds, memory in bytes, `cpu` as a share of one core; null: it never said.

    `state` is the agent's own, or `silent` (no heartbeat for 3 s), `stopped`, `exited`, `down` (nothing heard of it).
    `errors` counts agent.error events since its start, `waiting` events that are not on disk yet. Of what it reads, `filled` counts
    events that were lost on the way and came from the log, `gaps` stretches that could not be had. `measures` are figures of its own.
    """

    name: str
    state: str
    reason: str | None = None
    uptime: float | None = None
    memory: int | None = None
    cpu: float | None = None
    restarts: int | None = None
    events_per_second: float | None = None
    waiting: int | None = None
    dropped: int | None = None
    errors: int | None = None
    filled: int | None = None
    gaps: int | None = None
    measures: dict[str, float] = {}


class TopicRow(Struct, frozen=True, kw_only=True):
    """One topic that agents publish; foreign publishers send no heartbeat and are not counted.

    `published` counts since its agents started, `recorded` and `lost` since the recorder did; null: it does not say.
    """

    name: str
    sources: list[str]
    events_per_second: float | None
    declared_hz: float | None
    late: bool
    published: int = 0
    recorded: int | None = None
    lost: int | None = None


class Snapshot(Struct, frozen=True, kw_only=True):
    """The appliance at `time` (ns). `recorder` is null where it does not answer."""

    time: int
    home: str
    agents: list[AgentRow]
    topics: list[TopicRow]
    recorder: RecorderStatus | None


class _Beat(Struct, frozen=True):
    epoch: int
    time: int
    heard: float
    data: Heartbeat


class Gauges:
    """Give it the events of `agent.*`, ask it for rows. `expected` are the processes of the Procfile."""

    def __init__(self, expected: Iterable[str], declared: Mapping[str, Topic[object]]) -> None:
        self._expected = list(expected)
        self._declared = declared
        self._beats: dict[str, deque[_Beat]] = {}
        self._ends: dict[str, AgentRow] = {}

    def add(self, event: Event[object], now: float) -> None:
        """Take one event; `now` is the monotonic clock."""
        match event.data:
            case Heartbeat():
                self._on_heartbeat(event.source, _Beat(event.epoch, event.time, now, event.data))
            case Exited():
                self._ends[event.data.agent] = _exited(event.data)
            case Stopped():
                self._ends[event.source] = AgentRow(name=event.source, state="stopped")
            case StateChanged():
                self._ends.pop(event.source, None)

    def agents(self, now: float, listening: Iterable[str] = ()) -> list[AgentRow]:
        """The Procfile's processes in its order, then whoever else was heard, and those that are `listening` for commands in silence."""
        others = (self._beats.keys() | self._ends.keys() | set(listening)) - set(self._expected)
        return [self._agent(name, now, name in listening) for name in [*self._expected, *sorted(others)]]

    def topics(self, now: float, recorder: RecorderStatus | None = None) -> list[TopicRow]:
        """What agents that are alive have published, by name, and what the recorder has of it."""
        live = {name: beats for name, beats in self._beats.items() if now - beats[-1].heard <= SILENT_AFTER}
        published = sorted({topic for beats in live.values() for topic in beats[-1].data.published})
        return [self._topic(topic, live, recorder) for topic in published if not topic.startswith(CONTROL_PREFIXES)]

    def _on_heartbeat(self, source: str, beat: _Beat) -> None:
        beats = self._beats.setdefault(source, deque(maxlen=_BEATS))
        if beats and beats[-1].epoch != beat.epoch:
            beats.clear()  # it restarted, and counts from 0
        beats.append(beat)
        self._ends.pop(source, None)

    def _agent(self, name: str, now: float, is_listening: bool) -> AgentRow:
        if name in self._ends:
            return self._ends[name]
        if name not in self._beats and is_listening:
            return AgentRow(name=name, state="silent", reason="it is connected, and nothing was heard of it")
        if name not in self._beats:
            return AgentRow(name=name, state="down", reason="nothing heard of it")
        beats = self._beats[name]
        age = now - beats[-1].heard
        data = beats[-1].data
        silent = age > SILENT_AFTER
        return AgentRow(
            name=name,
            state="silent" if silent else data.state,
            reason=f"no heartbeat for {age:.0f} s" if silent else _BEHIND if data.behind else data.reason,
            uptime=data.uptime,
            memory=data.memory,
            cpu=data.cpu,
            restarts=data.restarts,
            events_per_second=None if silent else rate(beats),
            waiting=data.waiting,
            dropped=data.dropped,
            errors=data.published.get("agent.error", 0),
            filled=data.filled,
            gaps=data.gaps,
            measures={} if silent else data.measures,
        )

    def _topic(self, topic: str, live: Mapping[str, deque[_Beat]], recorder: RecorderStatus | None) -> TopicRow:
        sources = sorted(name for name, beats in live.items() if topic in beats[-1].data.published)
        rates = [measured for name in sources if (measured := rate(live[name], topic)) is not None]
        declared = self._declared.get(topic)
        return TopicRow(
            name=topic,
            sources=sources,
            events_per_second=sum(rates) if rates else None,
            declared_hz=declared.rate_hz if declared else None,
            late=any(topic in live[name][-1].data.late for name in sources),
            published=sum(live[name][-1].data.published.get(topic, 0) for name in sources),
            recorded=recorder.recorded.get(topic, 0) if recorder else None,
            lost=recorder.lost.get(topic, 0) if recorder else None,
        )


def rate(beats: deque[_Beat], topic: str | None = None) -> float | None:
    """Events a second between the oldest and the newest of these heartbeats; None: there is only one."""
    first, last = beats[0], beats[-1]
    if last.time <= first.time:
        return None
    return (_count(last.data, topic) - _count(first.data, topic)) / ((last.time - first.time) / 1e9)


def _count(beat: Heartbeat, topic: str | None) -> int:
    if topic is not None:
        return beat.published.get(topic, 0)
    return sum(count for name, count in beat.published.items() if not name.startswith(CONTROL_PREFIXES))


def _exited(exited: Exited) -> AgentRow:
    how = exited.signal or f"code {exited.code}"
    onward = "its supervisor gave up" if exited.delay is None else f"restart after {exited.delay:g} s"
    return AgentRow(name=exited.agent, state="exited", reason=f"{how}; {onward}", restarts=exited.restarts)
