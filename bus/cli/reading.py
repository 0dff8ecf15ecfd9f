"""Reading a log past its damaged places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from bus.log.errors import DamagedSegment
from bus.log.reader import read_folder
from bus.log.records import Entry


def read_on(
    folder: Path, on_damage: Callable[[DamagedSegment], None], *, topics: list[str], after: int = 0, until: int | None = None
) -> Iterator[Entry]:
    """As read_folder; where events may be missing `on_damage` is told, and reading goes on behind. Raises CorruptLog, OSError."""
    cursor: int | None = after
    while cursor is not None:
        try:
            yield from read_folder(folder, topics=topics, after=cursor, until=until)
            return
        except DamagedSegment as error:
            on_damage(error)
            cursor = error.resume_after if error.resume_after is not None and error.resume_after > cursor else None
