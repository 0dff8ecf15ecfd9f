"""Stands before every call of the blocks hosted here: policy, then limits, then the check of what it says; and records how it ended.

All of it is for one process: limits and calls at once are counted where the calls are served, so there is one process that serves them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from agents.petals.admission.limits import Limiter
from agents.petals.admission.policy import PolicyFile, may_ask
from agents.petals.admission.refusals import Refusals
from agents.petals.admission.shares import Shares
from schemas.petals import Outcome, Request

Records = Callable[[Request], None]
Clock = Callable[[], float]


class Refused(Exception):
    """A call, or the rest of one, is not served. The peer sees the message."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"refused: {reason}")
        self.reason = reason


class Stranger(Refused):
    """The policy does not let this peer ask."""


@dataclass(slots=True)
class Call:
    """One call under way, and what has passed of it. It is not `limited` where the peer is one of this agent's own processes."""

    peer: str
    rpc: str
    began: float
    limited: bool = True
    start: int | None = None
    end: int | None = None
    tokens: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def record(self, now: float, outcome: Outcome, reason: str | None) -> Request:
        return Request(
            peer=self.peer,
            rpc=self.rpc,
            outcome=outcome,
            start=self.start,
            end=self.end,
            seconds=now - self.began,
            tokens=self.tokens,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            reason=reason,
        )


@dataclass(slots=True)
class Guard:
    """Lets calls in, or raises Refused. `records` takes a record of each call that ended, of refusals by `tell`."""

    policy: PolicyFile
    limiter: Limiter
    shares: Shares
    records: Records
    clock: Clock
    _refusals: Refusals = field(default_factory=Refusals)

    @contextmanager
    def call(self, peer: str, rpc: str) -> Iterator[Call]:
        """One call, from its beginning to its end. Raises Refused."""
        call = Call(peer, rpc, self.clock())
        try:
            with self._place(call):
                yield call
        except BaseException as error:
            self._end(call, error)
            raise
        self.records(call.record(self.clock(), "served", None))

    def take(self, call: Call, *, tokens: int = 0, size: int = 0) -> None:
        """Let so many tokens and bytes of a call pass. Raises Refused, also where its peer may no longer ask."""
        call.bytes_in += size
        self._check(call.peer)
        if call.limited:
            self._refuse_for(self.limiter.take(call.peer, tokens, size, self.clock()))
        call.tokens += tokens

    @contextmanager
    def holding(self, call: Call, tokens: int) -> Iterator[None]:
        """Within, so many tokens of the attention cache are this peer's: see shares.py. Raises Refused."""
        if not call.limited:
            yield
            return
        self._refuse_for(self.shares.take(call.peer, tokens))
        try:
            yield
        finally:
            self.shares.give_back(call.peer, tokens)

    def tell(self, *, all_of_it: bool = False) -> None:
        """Record the refusals whose time is over, or all of them."""
        for record in self._refusals.all() if all_of_it else self._refusals.due(self.clock()):
            self.records(record)

    @contextmanager
    def _place(self, call: Call) -> Iterator[None]:
        """A place among the calls under way; there is always one for this agent's own processes."""
        call.limited = not self._check(call.peer)
        if not call.limited:
            yield
            return
        self._refuse_for(self.limiter.begin(call.peer, self.clock()))
        try:
            yield
        finally:
            self.limiter.end(call.peer)

    def _check(self, peer: str) -> bool:
        """Whether a peer is one of this agent's own. Raises Refused where it may not ask."""
        policy = self.policy.current()
        if (reason := may_ask(policy, peer)) is not None:
            raise Stranger(reason)
        return policy is not None and peer in policy.own

    @staticmethod
    def _refuse_for(reason: str | None) -> None:
        if reason is not None:
            raise Refused(reason)

    def _end(self, call: Call, error: BaseException) -> None:
        outcome, reason = _how(error)
        record = call.record(self.clock(), outcome, reason)
        if outcome == "refused":
            self._refusals.add(record, self.clock(), stranger=isinstance(error, Stranger))
        else:
            self.records(record)


def _how(error: BaseException) -> tuple[Outcome, str]:
    if isinstance(error, Refused):
        return "refused", error.reason
    if isinstance(error, GeneratorExit | asyncio.CancelledError):
        return "failed", "the peer went away"
    return "failed", f"{type(error).__name__}: {error}"
