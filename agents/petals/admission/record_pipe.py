"""Hands the records of calls from the process that serves them to the one that reads its pipe, without ever waiting for it."""

from __future__ import annotations

import os
import select
from dataclasses import dataclass

from msgspec import structs

from agents.petals.admission.refusals import noting
from agents.petals.messages import Asked, encode
from schemas.petals import Request

ATOMIC = 512
"""Bytes of a frame at most: what POSIX promises to write to a pipe as one piece, beside what other processes write there."""
LONGEST = 160
"""Bytes of a reason at most; the rest of a frame takes less than what is left."""


@dataclass(slots=True)
class RecordPipe:
    """Writes each record as a frame of messages.py. Those that find the pipe full or closed are lost, and the next one says how many."""

    fd: int
    lost: int = 0

    def __call__(self, record: Request) -> None:
        told = noting(record, f"{self.lost} records before this one were lost") if self.lost else record
        frame = encode(Asked(request=structs.replace(told, reason=told.reason and shortened(told.reason))))
        if len(frame) <= ATOMIC and self._write(frame):
            self.lost = 0
        else:
            self.lost += 1

    def _write(self, frame: bytes) -> bool:
        """Whether it was written. A pipe that is said to be writable takes so many bytes at once."""
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        try:
            events = poll.poll(0)
            return bool(events) and not events[0][1] & ~select.POLLOUT and os.write(self.fd, frame) == len(frame)
        except OSError:  # closed: nobody reads any more
            return False


def shortened(reason: str) -> str:
    """At most LONGEST bytes of it, in UTF-8."""
    data = reason.encode(errors="replace")
    return data.decode() if len(data) <= LONGEST else data[: LONGEST - 3].decode(errors="ignore") + "..."
