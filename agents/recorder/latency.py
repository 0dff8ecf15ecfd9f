"""How late poses came since their agent started: artifacts/wondercraft/xr_overlay/latency.json. It belongs to no run.

After a start of the recorder it is read again from that of the agent.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agents.recorder.entries import by_name, events, news
from agents.recorder.json_file import write_json
from agents.recorder.latency_summary import LatencySummary, go_on
from bus.log.log import Log
from bus.log.reader import OnDamage
from bus.log.records import Entry
from bus.wire import decode_envelope
from schemas import xr

NAME = "latency.json"
BATCH = 2000
"""Events that are read in one go."""
WRITE_SECONDS = 2.0
"""Of events, between two writes of the file: each is synced."""


class LatencyFile:
    """Keeps the file up with a log, as `beside.Projected`."""

    topics = by_name(xr.LATENCY)

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._summary: LatencySummary | None = None
        self._written: LatencySummary | None = None
        self._reached: int | None = None
        self._is_all = False  # of what the log has, in the summary

    def look_again(self) -> None:
        self._summary = self._written = self._reached = None

    def catch_up(self, log: Log, until: int, on_damage: OnDamage) -> None:
        if self._reached is None:
            self._reached = _newest_start(log, until, on_damage)
        found = news(log, self.topics, self._reached, until, BATCH, on_damage)
        self._take(found.entries)
        self._reached, self._is_all = found.reached, found.is_all
        if self._is_all and self._summary is not None and _is_due(self._summary, self._written):
            self._write(self._summary)

    def make_again(self, entries: Iterable[Entry]) -> None:
        self._take(entries)
        if self._summary is not None:
            self._write(self._summary)

    def close(self) -> None:
        if self._is_all and self._summary is not None and self._summary != self._written:
            self._write(self._summary)

    def _take(self, entries: Iterable[Entry]) -> None:
        for _, event in events(entries, self.topics):
            self._summary = go_on(self._summary, event)

    def _write(self, summary: LatencySummary) -> None:
        write_json(self._path, summary)
        self._written = summary


def _newest_start(log: Log, until: int, on_damage: OnDamage) -> int:
    """The time just before the agent started that reported last; where there is no report, `until`."""
    newest = log.last(xr.LATENCY.name, on_damage)
    return until if newest is None else decode_envelope(newest.topic, newest.data).epoch - 1


def _is_due(summary: LatencySummary, written: LatencySummary | None) -> bool:
    """Whether the file is to say what it does not: at once where an agent has started."""
    return written is None or summary.began != written.began or summary.until - written.until >= WRITE_SECONDS * 1e9
