"""What does not hold, as every part of verify says it."""

from __future__ import annotations

from msgspec import Struct

RESTORE = "restore the file from a copy, or keep it and know that events are missing"


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that does not hold: its kind for programs; where it is, what is wrong and what to do for people."""

    kind: str
    where: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.what}: {self.mend}"
