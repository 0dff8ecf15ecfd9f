"""How much of the attention cache peers may hold at once: a session reserves it whole when it begins, whatever it then makes of it.

It is counted in tokens through one block: a session of two rows, of 64 tokens at most, through three blocks holds 384.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SHARE = 4
"""One peer may hold this part of the cache, and as much stays for this agent's own processes."""


@dataclass(slots=True)
class Shares:
    """Who holds how much of a cache of `holds` tokens; one row of the longest text takes `longest` of them, and always has its turn."""

    holds: int
    longest: int
    _held: dict[str, int] = field(default_factory=dict)

    def take(self, peer: str, tokens: int) -> str | None:
        """Give a peer so many tokens, or a reason why not. Each that were given must be given back."""
        of_one = max(self.holds // SHARE, self.longest)
        of_all = max(self.holds - self.holds // SHARE, self.longest)
        if self.held(peer) + tokens > of_one:
            return f"more than {of_one} tokens of the attention cache for one peer, of all blocks together"
        if sum(self._held.values()) + tokens > of_all:
            return f"the attention cache is full: peers hold the {of_all} tokens, of all blocks together, that they may"
        self._hold(peer, self.held(peer) + tokens)
        return None

    def give_back(self, peer: str, tokens: int) -> None:
        self._hold(peer, self.held(peer) - tokens)

    def _hold(self, peer: str, tokens: int) -> None:
        if tokens:
            self._held[peer] = tokens
        else:
            self._held.pop(peer, None)

    def held(self, peer: str) -> int:
        return self._held.get(peer, 0)
