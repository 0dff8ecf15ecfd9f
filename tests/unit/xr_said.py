"""What was published, for tests of what an agent is made of."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from bus.topic import Topic


class Said:
    """Takes the place of an agent's `publish`: topics, data and times, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any, int | None]] = []  # Any: of each topic its own struct

    def __call__(self, topic: Topic[Any], data: Struct, *, time: int | None = None) -> str:
        self.events.append((topic.name, data, time))
        return f"test/{topic.name}/1/{len(self.events)}"

    @property
    def topics(self) -> list[str]:
        return [topic for topic, _, _ in self.events]

    def of(self, topic: Topic[Any]) -> list[Any]:
        """The data of its events."""
        return [data for name, data, _ in self.events if name == topic.name]

    def times(self, topic: Topic[Any]) -> list[int | None]:
        return [time for name, _, time in self.events if name == topic.name]
