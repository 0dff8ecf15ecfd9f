"""How much one peer may ask of the blocks hosted here: calls, tokens and bytes a second, and calls at once.

Of each there is a bucket: it holds one second's worth, or as much as the largest call takes where that is more, and fills at its rate.
What is asked for is taken out of it, or refused where there is not enough; so over any time no more passes than rate x time + bucket, and
a call of any size passes once its peer has waited for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agents.petals.messages import Limits

MOST_PEERS = 1024
"""Peers that are remembered at most."""


@dataclass(slots=True)
class Bucket:
    """What one peer has left of one thing. It is full at first; times are in seconds, of a clock that does not go back."""

    rate: float
    holds: float
    level: float
    at: float

    def fill(self, now: float) -> None:
        if now > self.at:
            self.level = min(self.holds, self.level + self.rate * (now - self.at))
            self.at = now

    @property
    def is_full(self) -> bool:
        return self.level >= self.holds


@dataclass(slots=True)
class Account:
    """What one peer has left, and its calls under way."""

    requests: Bucket
    tokens: Bucket
    size: Bucket
    calls: int = 0

    def is_forgettable(self, now: float) -> bool:
        """Whether nothing is lost when it is made anew: nobody gets more by having been forgotten."""
        for bucket in (self.requests, self.tokens, self.size):
            bucket.fill(now)
        return self.calls == 0 and self.requests.is_full and self.tokens.is_full and self.size.is_full


@dataclass(slots=True)
class Limiter:
    """Decides for every peer whether it may go on; `now` is the time. `most_tokens` and `most_bytes` are those of the largest call.

    A peer is remembered until it has back all that it took. Where MOST_PEERS are remembered, one that is not must wait for a place.
    """

    limits: Limits
    most_tokens: int
    most_bytes: int
    _accounts: dict[str, Account] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._accounts)

    def begin(self, peer: str, now: float) -> str | None:
        """A call begins, unless there is a reason why not. Each one that begins must `end`."""
        account = self._account(peer, now)
        if account is None:
            return f"more than {MOST_PEERS} peers ask at once"
        if account.calls >= self.limits.at_once:
            return f"more than {self.limits.at_once} calls at once"
        account.requests.fill(now)
        if account.requests.level < 1:
            return f"more than {self.limits.requests_per_second:g} calls a second"
        account.requests.level -= 1
        account.calls += 1
        return None

    def take(self, peer: str, tokens: int, size: int, now: float) -> str | None:
        """So many tokens and bytes of a call under way, all or nothing; a reason where it is nothing."""
        account = self._accounts[peer]
        account.tokens.fill(now)
        account.size.fill(now)
        if account.tokens.level < tokens:
            return f"more than {self.limits.tokens_per_second:g} tokens a second"
        if account.size.level < size:
            return f"more than {self.limits.bytes_per_second:g} bytes a second"
        account.tokens.level -= tokens
        account.size.level -= size
        return None

    def end(self, peer: str) -> None:
        self._accounts[peer].calls -= 1

    def _account(self, peer: str, now: float) -> Account | None:
        if peer not in self._accounts:
            if len(self._accounts) >= MOST_PEERS and not self._forget(now):
                return None
            self._accounts[peer] = self._new(now)
        self._accounts[peer] = account = self._accounts.pop(peer)  # the last one is the newest
        return account

    def _forget(self, now: float) -> bool:
        """Forget the peer that has been quiet for the longest time, of those that have everything back."""
        quiet = next((peer for peer, account in self._accounts.items() if account.is_forgettable(now)), None)
        if quiet is not None:
            del self._accounts[quiet]
        return quiet is not None

    def _new(self, now: float) -> Account:
        limits = self.limits
        return Account(
            requests=_full(limits.requests_per_second, 1, now),
            tokens=_full(limits.tokens_per_second, self.most_tokens, now),
            size=_full(limits.bytes_per_second, self.most_bytes, now),
        )


def _full(rate: float, largest: float, now: float) -> Bucket:
    holds = max(rate, largest)
    return Bucket(rate, holds, holds, now)
