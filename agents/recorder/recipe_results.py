"""What the last check of every recipe found, as artifacts/train/recipe_results.json. It belongs to no run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from agents.recorder.entries import by_name, events
from agents.recorder.json_file import write_json
from bus.log.log import Log
from bus.log.reader import OnDamage
from bus.log.records import Entry
from schemas import train

NAME = "train/recipe_results.json"
TOPIC = train.RECIPE_CHECKED


class Result(Struct, frozen=True, kw_only=True):
    """The newest check of a recipe. `time` in ns since the Unix epoch."""

    time: int
    checked: train.RecipeChecked


class RecipeResults:
    """Keeps the file up with a log: first made of all that it has, then of what is new."""

    def __init__(self, artifacts: Path) -> None:
        self._artifacts = artifacts
        self._results: dict[str, Result] = {}
        self._reached = 0

    def catch_up(self, log: Log, on_damage: OnDamage) -> None:
        """Take what the log has behind the last time."""
        newest = log.last(TOPIC.name, on_damage)
        if newest is None or newest.log_time <= self._reached:
            return
        self.add(log.read(topics=[TOPIC.name], after=self._reached, until=newest.log_time, on_damage=on_damage))
        self._reached = newest.log_time

    def add(self, entries: Iterable[Entry]) -> None:
        """Take recorded checks, oldest first, and write the file. What does not decode and what is a replay says nothing."""
        for _, event in events(entries, by_name(TOPIC)):
            self._results[event.data.recipe] = Result(time=event.time, checked=event.data)
        if self._results:
            self._write()

    def _write(self) -> None:
        by_recipe = {name: {"time": result.time, **msgspec.to_builtins(result.checked)} for name, result in sorted(self._results.items())}
        write_json(self._artifacts / NAME, by_recipe)
