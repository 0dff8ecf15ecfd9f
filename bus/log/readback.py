"""Whether a rewritten file holds the messages that it should, by their number and the hash of their bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from hashlib import sha256

from bus.errors import CorruptLog
from bus.log.closed import check_data, open_chunk, read_summary
from bus.log.errors import BadRecord, DamagedSegment
from bus.log.folder import Segment
from bus.log.records import MESSAGE, PREFIX, Head, walk


class Messages:
    """Count and hash of Message records in their order, whatever else lies between them."""

    def __init__(self) -> None:
        self.count = 0
        self._hash = sha256()

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def add(self, body: bytes, heads: Iterable[Head]) -> None:
        """The messages of `body` among the records that `heads` lists."""
        view, run_start, run_end = memoryview(body), 0, 0
        for opcode, start, end in heads:
            if opcode == MESSAGE:
                self.count += 1
                if start - PREFIX.size != run_end:
                    self._hash.update(view[run_start:run_end])
                    run_start = start - PREFIX.size
                run_end = end
        self._hash.update(view[run_start:run_end])


def check(rewrite: Segment, wanted: Messages, pause: Callable[[], None]) -> None:
    """Raises CorruptLog unless the file reads back, and its chunks have just these messages. Calls `pause` between chunks."""
    found = Messages()
    fd = os.open(rewrite.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        summary = read_summary(fd)
        check_data(fd, summary)
        for index in summary.chunks:
            data = open_chunk(fd, index)
            found.add(data, walk(data, 0))
            pause()
    except BadRecord as error:
        raise DamagedSegment(rewrite.path, error.offset, str(error)) from error
    finally:
        os.close(fd)
    if (found.count, found.digest) != (wanted.count, wanted.digest) or summary.statistics.message_count != wanted.count:
        raise CorruptLog(f"{rewrite.path}: {found.count} messages instead of {wanted.count}, or others: the source stays as it is")
