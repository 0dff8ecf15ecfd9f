"""No peer, and not all of them together, hold more of the attention cache than they may, and what was given back can be had again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agents.petals.admission.shares import Shares

HOLDS, LONGEST = 400, 30


class Peers(RuleBasedStateMachine):
    """Six peers that begin sessions and end them."""

    def __init__(self) -> None:
        super().__init__()
        self.shares = Shares(HOLDS, LONGEST)
        self.sessions: list[tuple[str, int]] = []

    @rule(peer=st.sampled_from("abcdef"), tokens=st.integers(0, 2 * HOLDS))
    def begin(self, peer: str, tokens: int) -> None:
        reason = self.shares.take(peer, tokens)
        fits = self._held(peer) + tokens <= 100 and sum(each for _, each in self.sessions) + tokens <= 300
        assert (reason is None) == fits
        if reason is None:
            self.sessions.append((peer, tokens))

    @rule(which=st.integers(0, 20))
    def end(self, which: int) -> None:
        if which < len(self.sessions):
            self.shares.give_back(*self.sessions.pop(which))

    @invariant()
    def what_a_peer_holds_is_what_its_sessions_took(self) -> None:
        assert all(self.shares.held(peer) == self._held(peer) for peer in "abcdef")

    def _held(self, peer: str) -> int:
        return sum(tokens for holder, tokens in self.sessions if holder == peer)


TestPeers = Peers.TestCase


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_a_session_of_one_row_has_its_turn_in_any_cache(holds: int, longest: int) -> None:
    shares = Shares(holds, longest)

    assert shares.take("a", longest) is None
    shares.give_back("a", longest)
    assert shares.take("b", longest) is None
