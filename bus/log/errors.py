"""What can go wrong in the log, with what a caller needs to go on."""

from __future__ import annotations

from pathlib import Path

from bus.errors import BusError, CorruptLog


class LogWriteError(BusError):
    """A group could not be written or synced: nothing of it counts as recorded, and the next commit tries a new segment."""


class DamagedSegment(CorruptLog):
    """A segment holds bytes that do not read back as written.

    `offset` is in bytes from the start of the file. Reading `after=resume_after` goes on behind the damage;
    None: nothing is known to lie behind it.
    """

    def __init__(self, path: Path, offset: int, why: str, resume_after: int | None = None) -> None:
        onward = "" if resume_after is None else f"; reading after={resume_after} goes on behind it"
        super().__init__(f"{path} at byte {offset}: {why}{onward}")
        self.path = path
        self.offset = offset
        self.why = why
        self.resume_after = resume_after


class BadRecord(ValueError):
    """Bytes that are no record: `offset` counts from the start of the buffer. Readers turn it into DamagedSegment."""

    def __init__(self, offset: int, why: str) -> None:
        super().__init__(why)
        self.offset = offset
