"""An event as a reader sees it: the envelope's fields and the decoded data."""

from __future__ import annotations

from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class Event(Struct, Generic[T], frozen=True, kw_only=True):
    """One fact. `time` and `epoch` are ns since the Unix epoch; `seq` is 0 for foreign publishers that cannot re-send.

    `seq` counts the source's stream over all its topics, `prev` is its previous event on this topic (0: none),
    `nth` counts its events of this topic. `attachments` is the bulk behind a LATEST event, as it came; what was recorded has none.
    """

    topic: str
    source: str
    time: int
    data: T
    epoch: int = 0
    seq: int = 0
    prev: int = 0
    nth: int = 0
    cause: str | None = None
    run: str | None = None
    replay: bool = False
    attachments: tuple[bytes, ...] = ()

    @property
    def id(self) -> str:
        return event_id(self.source, self.topic, self.epoch, self.seq)


def event_id(source: str, topic: str, epoch: int, seq: int) -> str:
    """The id of an event: unique without a random number, and readable."""
    return f"{source}/{topic}/{epoch}/{seq}"
