"""How the last session of the bridge went: artifacts/wondercraft/scenes/final_metrics.json. It belongs to no run.

A session is from `ue5.connected` to `ue5.disconnected`, else to the newest event. After a start it is read again from its beginning.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agents.recorder.entries import by_name, events, news
from agents.recorder.json_file import write_json
from agents.recorder.session_summary import SessionSummary, begin, go_on
from bus.log.log import Log
from bus.log.reader import OnDamage
from bus.log.records import Entry
from schemas import scene, ue5

NAME = "final_metrics.json"
BATCH = 2000
"""Events that are read in one go."""
WRITE_SECONDS = 10.0
"""Of a session, between two writes of the file while that goes on: each is synced."""


class SessionFile:
    """Keeps the file up with a log, as `beside.Projected`."""

    topics = by_name(ue5.CONNECTED, ue5.DISCONNECTED, ue5.LATENCY, scene.FRAME)

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._summary: SessionSummary | None = None
        self._written: SessionSummary | None = None
        self._reached: int | None = None

    def look_again(self) -> None:
        self._written = self._reached = None

    def catch_up(self, log: Log, until: int, on_damage: OnDamage) -> None:
        if self._reached is None:
            self._reached = _newest_start(log, until, on_damage)
        found = news(log, self.topics, self._reached, until, BATCH, on_damage)
        self._take(found.entries)
        self._reached = found.reached
        if found.is_all and self._summary is not None and _is_due(self._summary, self._written):
            self._write(self._summary)

    def make_again(self, entries: Iterable[Entry]) -> None:
        """A session whose beginning the log has no more stays as it is."""
        self._take(entries)
        if self._summary is not None:
            self._write(self._summary)

    def close(self) -> None:
        if self._summary is not None and self._summary != self._written:
            self._write(self._summary)

    def _take(self, entries: Iterable[Entry]) -> None:
        for _, event in events(entries, self.topics):
            if isinstance(event.data, ue5.Connected):
                self._summary = begin(event)
            elif self._summary is not None:
                self._summary = go_on(self._summary, event)

    def _write(self, summary: SessionSummary) -> None:
        write_json(self._path, summary)
        self._written = summary


def _newest_start(log: Log, until: int, on_damage: OnDamage) -> int:
    """The log time just before the newest session began; where there is none, `until`."""
    newest = log.last(ue5.CONNECTED.name, on_damage)
    return until if newest is None else newest.log_time - 1


def _is_due(summary: SessionSummary, written: SessionSummary | None) -> bool:
    """Whether the file is to say what it does not: at a session's beginning and end at once."""
    if written is None or (summary.began, summary.ended) != (written.began, written.ended):
        return True
    return summary.seconds - written.seconds >= WRITE_SECONDS
