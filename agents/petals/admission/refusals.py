"""Makes one record of the refusals that one peer met for one reason within a second: who is refused may ask a thousand times.

Who is not allowed can do so under as many ids: of all such peers together there is one record a minute, beyond the first few.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import structs

from schemas.petals import Request

SECOND, MINUTE = 1.0, 60.0
MOST = 64
"""Records a second at most of peers that may ask, where there are as many: what others are refused is only counted."""
FEW = 16
"""Records of strangers that stand for themselves. There are as many again once a minute has had no more of them."""

Key = tuple[str, str | None]


@dataclass(slots=True)
class Refusals:
    """`add` what was refused; `due` are the records whose time is over. Times are in seconds, of a clock that does not go back."""

    _open: dict[Key, tuple[float, Request]] = field(default_factory=dict)
    _unlisted: int = 0
    _minute: float = float("-inf")
    _strangers: int = 0
    _rest: Request | None = None

    def add(self, refused: Request, now: float, *, stranger: bool) -> None:
        """One more. `stranger`: the policy does not let this peer ask."""
        key = refused.peer, refused.reason
        if key in self._open:
            since, before = self._open[key]
            self._open[key] = since, _both(before, refused)
        elif stranger and not self._is_one_of_few(now):
            self._rest = refused if self._rest is None else _both(self._rest, refused)
        elif len(self._open) < MOST:
            self._open[key] = now, refused
        else:
            self._unlisted += refused.count

    def due(self, now: float) -> list[Request]:
        """The records whose second, or minute, is over by now, oldest first. Each is given once."""
        over = [key for key, (since, _) in self._open.items() if now - since >= SECOND]
        records = [self._open.pop(key)[1] for key in over]
        if records and self._unlisted:
            records[-1] = noting(records[-1], f"{self._unlisted} refusals of other peers are not listed")
            self._unlisted = 0
        if now - self._minute >= MINUTE:
            records += self._others(now)
        return records

    def all(self) -> list[Request]:
        """Every record that was not given yet."""
        return self.due(float("inf"))

    def _is_one_of_few(self, now: float) -> bool:
        if self._rest is None and now - self._minute >= MINUTE:
            self._minute, self._strangers = now, 0
        self._strangers += 1
        return self._strangers <= FEW

    def _others(self, now: float) -> list[Request]:
        """The record of the strangers that have none of their own, where there are such. The next ones have another minute."""
        if self._rest is None:
            return []
        rest, self._rest, self._minute = self._rest, None, now
        return [noting(rest, "this peer and others")]


def noting(record: Request, note: str) -> Request:
    """The record, with something said before its reason."""
    return structs.replace(record, reason=note if record.reason is None else f"{note}; {record.reason}")


def _both(one: Request, other: Request) -> Request:
    return structs.replace(
        one,
        count=one.count + other.count,
        seconds=one.seconds + other.seconds,
        tokens=one.tokens + other.tokens,
        bytes_in=one.bytes_in + other.bytes_in,
        bytes_out=one.bytes_out + other.bytes_out,
    )
