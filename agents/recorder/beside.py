"""Files that belong to no run, kept up with the log beside those of runs: what is in the way of one holds up no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from agents.recorder.entries import Topics
from bus.errors import CorruptLog
from bus.log.log import Log
from bus.log.reader import OnDamage
from bus.log.records import Entry


class Projected(Protocol):
    """A file, or a few, that events of `topics` make."""

    @property
    def topics(self) -> Topics: ...

    def look_again(self) -> None:
        """Somebody else wrote the file."""

    def catch_up(self, log: Log, until: int, on_damage: OnDamage) -> None:
        """Take some or all of what is new, up to the log time `until`. Raises OSError, CorruptLog; then it is tried again."""

    def make_again(self, entries: Iterable[Entry]) -> None:
        """The file anew, of all that a log has of `topics`, oldest first. Raises OSError, CorruptLog."""

    def close(self) -> None:
        """Write what is not yet written: nothing more is taken. Raises OSError."""


class Beside:
    """Such files of one owner. `on_error` hears of what keeps any from being written, once, and None when all are again."""

    def __init__(self, files: Sequence[Projected], on_error: Callable[[Exception | None], None]) -> None:
        self._files = files
        self._on_error = on_error
        self._failed = False

    def look_again(self) -> None:
        for each in self._files:
            each.look_again()

    def close(self) -> None:
        """Nothing more comes."""
        for each in self._files:
            try:
                each.close()
            except OSError as error:
                self._on_error(error)

    def follow(self, log: Log, until: int, on_damage: OnDamage) -> None:
        """Write what is new in the log, up to the log time `until`; where that fails, the next time."""
        errors = [error for each in self._files if (error := _attempt(each, log, until, on_damage)) is not None]
        if errors and not self._failed:
            self._on_error(errors[0])
        elif self._failed and not errors:
            self._on_error(None)
        self._failed = bool(errors)


def _attempt(each: Projected, log: Log, until: int, on_damage: OnDamage) -> Exception | None:
    try:
        each.catch_up(log, until, on_damage)
    except (OSError, CorruptLog) as error:
        return error
    return None
