"""What was exported of each run: exports.json and parity.json in its folder, and artifacts/train/parity.json, which leads to the newest.

A run may be exported long after it ended, while the files of another are written: so this follows the log beside them, and run.json
says nothing of exports.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from agents.parts import parity_file
from agents.parts.links import point
from agents.recorder.entries import by_name, event_of, last_time
from bus.event import Event
from bus.log.disk import replace_file
from bus.log.log import Log
from bus.log.reader import OnDamage
from bus.log.records import Entry
from schemas import export

TOPICS = by_name(export.STARTED, export.PARITY, export.COMPLETED, export.FAILED)
LIST, PARITY = "exports.json", "parity.json"
NEWEST = f"train/{PARITY}"
"""The fixed path below `artifacts/`."""

Said = export.Started | export.Parity | export.Completed | export.Failed


class Attempt(Struct, kw_only=True):
    """One export as exports.json lists it. Times are ns since the Unix epoch.

    `passed`: its parity, null where nothing was compared, for the `reason`; `parity` is the hash of that file. `outcome` is null of an
    export that never said how it ended; `kept` is where the files of a failed one lie aside.
    """

    export: str
    recipe: str
    checkpoint: str
    step: int | None = None
    precision: str
    began: int | None = None
    ended: int | None = None
    outcome: Literal["completed", "failed"] | None = None
    folder: str | None = None
    model: str | None = None
    parity: str | None = None
    passed: bool | None = None
    reason: str | None = None
    error: str | None = None
    kept: str | None = None


class Exports:
    """Keeps the files up with a log: first made of all that it has, then of what is new. With `only`, those of other runs are left alone.

    A run's folder is there when its exports are told: one that is not was taken away, and stays so.
    """

    def __init__(self, artifacts: Path, only: str | None = None) -> None:
        self._artifacts = artifacts
        self._only = only
        self._attempts: dict[str, list[Attempt]] = {}
        self._parities: dict[str, export.Parity] = {}  # the newest of each run, that of all runs last
        self._unwritten: set[str] = set()
        self._reached = 0

    def catch_up(self, log: Log, until: int, on_damage: OnDamage) -> None:
        """Take what the log has behind the last time, up to the log time `until`, and write what that changes. Raises OSError."""
        if last_time(log, TOPICS, on_damage) > self._reached:
            self._take_all(log.read(topics=list(TOPICS), after=self._reached, until=until, on_damage=on_damage))
        self._write()

    def add(self, entries: Iterable[Entry]) -> None:
        """Take recorded events, oldest first, and write what they change. What does not decode and what is a replay says nothing."""
        self._take_all(entries)
        self._write()

    def _take_all(self, entries: Iterable[Entry]) -> None:
        """Each event once, also where the next cannot be read, or no file be written."""
        for entry in entries:
            self._reached = entry.log_time
            event = event_of(entry, TOPICS)
            if event is not None and event.run is not None:
                self._take(event.run, event)

    def _take(self, run: str, event: Event[Said]) -> None:
        _follow(self._attempts.setdefault(run, []), event)
        if isinstance(event.data, export.Parity):
            self._parities.pop(run, None)
            self._parities[run] = event.data
        self._unwritten.add(run)

    def _write(self) -> None:
        if not self._unwritten:
            return
        for run in self._unwritten:
            if self._only in (None, run) and self._folder(run).is_dir():
                self._write_run(run)
        newest = next((run for run in reversed(self._parities) if (self._folder(run) / PARITY).is_file()), None)
        if newest is not None:
            point(self._artifacts / NEWEST, Path("..", "runs", newest, PARITY))
        self._unwritten.clear()

    def _write_run(self, run: str) -> None:
        listed = msgspec.json.format(msgspec.json.encode(self._attempts[run]), indent=2) + b"\n"
        replace_file(self._folder(run) / LIST, listed)
        if run in self._parities:
            replace_file(self._folder(run) / PARITY, parity_file.encode(run, self._parities[run]))

    def _folder(self, run: str) -> Path:
        return self._artifacts / "runs" / run


def _follow(attempts: list[Attempt], event: Event[Said]) -> None:
    """Add to the attempts of a run what one event says of its own."""
    attempt = _attempt(attempts, event.data)
    match event.data:
        case export.Started(step=step):
            attempt.step, attempt.began = step, event.time
        case export.Parity(step=step, passed=passed):
            attempt.step, attempt.passed = step, passed
        case export.Completed() as done:
            attempt.step, attempt.outcome, attempt.ended = done.step, "completed", event.time
            attempt.folder, attempt.model, attempt.parity, attempt.reason = done.folder, done.model, done.parity, done.reason
        case export.Failed() as failed:
            attempt.outcome, attempt.ended = "failed", event.time
            attempt.error, attempt.kept = f"{failed.error}: {failed.message}", failed.kept


def _attempt(attempts: list[Attempt], said: Said) -> Attempt:
    """The attempt that is meant: the newest of this name that has not ended; else one that begins here."""
    open_ = next((each for each in reversed(attempts) if each.export == said.export and each.outcome is None), None)
    if open_ is None or isinstance(said, export.Started):
        open_ = Attempt(export=said.export, recipe=said.recipe, checkpoint=said.checkpoint, precision=said.precision)
        attempts.append(open_)
    return open_
