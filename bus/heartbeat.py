"""What an agent says of itself each second, and once at its start."""

from __future__ import annotations

import os
import platform
import time as clock
from importlib.metadata import version

import msgspec
import psutil

from bus.agent import MOST_MEASURES, Agent
from bus.client import Client
from bus.dispatch import Dispatch
from bus.gap import Gaps
from bus.lifecycle import Heartbeat, Manifest
from bus.subscriber import Received

LATE_SHARE = 0.8
"""A topic slower than this share of its declared rate is late."""

Scalar = str | int | float | bool | None


class Pulse:
    """Measures between two heartbeats of one agent. `gaps` is what its reader knows, once it reads."""

    def __init__(self, agent: Agent, client: Client, dispatch: Dispatch) -> None:
        self._agent = agent
        self._client = client
        self._dispatch = dispatch
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first reading has nothing to compare with
        self._started = self._measured = clock.monotonic()
        self._counts: dict[str, int] = {}
        self.gaps: Gaps[Received] | None = None
        self._restarts = int(os.environ.get("BUS_RESTARTS", "0"))

    @property
    def uptime(self) -> float:
        """Seconds since the agent started."""
        return clock.monotonic() - self._started

    def beat(self) -> Heartbeat:
        """The heartbeat of now."""
        publisher = self._client.publisher
        return Heartbeat(
            state=self._agent.state,
            reason=self._agent.reason,
            uptime=self.uptime,
            memory=self._process.memory_info().rss,
            cpu=self._process.cpu_percent() / 100,
            restarts=self._restarts,
            late=self._late(),
            published=dict(publisher.published),
            received=self._dispatch.received,
            filled=self.gaps.filled if self.gaps else 0,
            gaps=self._client.gaps,
            behind=self.gaps is not None and self.gaps.is_behind,
            undecodable=self._client.rejections.total,
            dropped=publisher.dropped,
            waiting=len(publisher.ring),
            measures=told(self._agent.measures),
        )

    def _late(self) -> list[str]:
        """Topics with a declared rate that fell behind it since the last heartbeat, once they have begun."""
        now = clock.monotonic()
        published = self._client.publisher.published
        seconds, before = now - self._measured, self._counts
        self._measured, self._counts = now, dict(published)
        rates = self._agent.rates.items()
        return [name for name, rate in rates if name in before and published[name] - before[name] < LATE_SHARE * rate * seconds]


def manifest(agent: Agent, dispatch: Dispatch) -> Manifest:
    """What this agent is, as it is now."""
    return Manifest(
        publishes=sorted(topic.name for topic in agent.publishes),
        reads=sorted(pattern for pattern in dispatch.patterns if not pattern.startswith("command.")),
        answers=sorted(entry.command.name for entry in dispatch.answers),
        versions={"python": platform.python_version(), "zeropoint-bus": version("zeropoint-bus"), **agent.versions},
        parts=agent.parts,
        settings=_scalars(agent.settings),
        pid=os.getpid(),
        state=agent.state,
        reason=agent.reason,
    )


def told(measures: dict[str, float]) -> dict[str, float]:
    """The first MOST_MEASURES of them; other threads may add some meanwhile."""
    return dict(list(measures.items())[:MOST_MEASURES])


def _scalars(settings: msgspec.Struct) -> dict[str, Scalar]:
    """The settings as values that a manifest can hold; nested ones as text."""
    values = msgspec.to_builtins(settings)
    return {name: value if isinstance(value, Scalar) else str(value) for name, value in values.items()}
