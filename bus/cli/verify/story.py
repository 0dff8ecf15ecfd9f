"""What the log says of itself and of its agents, gathered for the report."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from msgspec import Struct

from agents.recorder.tally import counted_as
from bus.errors import CorruptFrame
from bus.lifecycle import MANIFEST, Manifest
from bus.log.records import Entry
from bus.wire import Envelope, decode_data


class Version(Struct, frozen=True):
    """An agent as it was started, once or more often: what it was made of, and what of it was real."""

    source: str
    versions: tuple[tuple[str, str], ...]
    parts: tuple[tuple[str, str, str], ...]


@dataclass
class Story:
    """Counts and manifests. It grows with topics and versions of agents, not with the log."""

    first: int = 0
    last: int = 0
    topics: Counter[str] = field(default_factory=Counter)
    unpromised: Counter[str] = field(default_factory=Counter)
    replays: Counter[str] = field(default_factory=Counter)
    agents: dict[Version, int] = field(default_factory=dict)

    def take(self, entry: Entry, envelope: Envelope) -> None:
        """One event, in log order."""
        self.first, self.last = self.first or entry.log_time, entry.log_time
        self.topics[counted_as(entry.topic, self.topics)] += 1
        if entry.delivery != "durable" or not envelope.seq:
            self.unpromised[_UNPROMISED[entry.delivery]] += 1
        if envelope.replay:
            self.replays[envelope.source] += 1
        elif entry.topic == MANIFEST.name:
            self._take_manifest(envelope)

    def _take_manifest(self, envelope: Envelope) -> None:
        try:
            manifest = decode_data(MANIFEST.name, envelope.data, Manifest)
        except CorruptFrame:
            return  # counted as an event; it says nothing of an agent
        parts = tuple(sorted((part.name, part.kind, part.detail) for part in manifest.parts))
        version = Version(envelope.source, tuple(sorted(manifest.versions.items())), parts)
        self.agents[version] = self.agents.get(version, 0) + 1


_UNPROMISED = {
    "durable": "events of publishers that number nothing",
    "latest": "events of LATEST topics",
    "control": "commands and replies",
}
"""By the kind of stream, what is sent once: a loss is not made up for."""
