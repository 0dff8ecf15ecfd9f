"""No peer gets more than its limits over any time, whatever it asks and whoever is forgotten meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agents.petals.admission import limits as module
from agents.petals.admission.limits import Limiter
from agents.petals.messages import Limits

LIMITS = Limits(requests_per_second=3.0, tokens_per_second=10.0, bytes_per_second=100.0, at_once=2)
MOST_TOKENS, MOST_BYTES, MOST_PEERS = 25, 60, 4
HOLDS = {"calls": 3.0, "tokens": 25.0, "bytes": 100.0}
RATES = {"calls": 3.0, "tokens": 10.0, "bytes": 100.0}


def limiter() -> Limiter:
    return Limiter(LIMITS, MOST_TOKENS, MOST_BYTES)


@pytest.fixture(autouse=True, scope="module")
def few_peers() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_PEERS", MOST_PEERS)
        yield


class Peers(RuleBasedStateMachine):
    """Seven peers where four are remembered; what each one got is kept here, with the times."""

    def __init__(self) -> None:
        super().__init__()
        self.limiter = limiter()
        self.now = 0.0
        self.under_way: dict[str, int] = {}
        self.got: dict[tuple[str, str], list[tuple[float, float]]] = {}

    @rule(seconds=st.floats(0, 5))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(peer=st.sampled_from("abcdefg"))
    def begin(self, peer: str) -> None:
        if self.limiter.begin(peer, self.now) is None:
            self.under_way[peer] = self.under_way.get(peer, 0) + 1
            self._note(peer, "calls", 1)

    @rule(peer=st.sampled_from("abcdefg"), tokens=st.integers(0, 2 * MOST_TOKENS), size=st.integers(0, 2 * MOST_BYTES))
    def take(self, peer: str, tokens: int, size: int) -> None:
        if self.under_way.get(peer) and self.limiter.take(peer, tokens, size, self.now) is None:
            self._note(peer, "tokens", tokens)
            self._note(peer, "bytes", size)

    @rule(peer=st.sampled_from("abcdefg"))
    def end(self, peer: str) -> None:
        if self.under_way.get(peer):
            self.under_way[peer] -= 1
            self.limiter.end(peer)

    @invariant()
    def nobody_has_more_than_rate_times_time_and_one_bucket_over_any_time(self) -> None:
        for (_, what), got in self.got.items():
            sums = [0.0, *accumulate(amount for _, amount in got)]
            for first, (since, _) in enumerate(got):
                assert sums[-1] - sums[first] <= RATES[what] * (self.now - since) + HOLDS[what] + 1e-6

    @invariant()
    def nobody_has_more_calls_at_once(self) -> None:
        assert all(calls <= LIMITS.at_once for calls in self.under_way.values())

    @invariant()
    def no_more_peers_are_remembered(self) -> None:
        assert len(self.limiter) <= MOST_PEERS

    def _note(self, peer: str, what: str, amount: float) -> None:
        self.got.setdefault((peer, what), []).append((self.now, amount))


TestPeers = Peers.TestCase
TestPeers.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


@given(st.integers(0, MOST_TOKENS), st.integers(0, MOST_BYTES), st.lists(st.tuples(st.integers(0, 25), st.integers(0, 60)), max_size=9))
def test_a_call_of_any_size_passes_for_who_has_waited(tokens: int, size: int, before: list[tuple[int, int]]) -> None:
    limits = limiter()
    assert limits.begin("a", 0.0) is None
    for taken in before:
        limits.take("a", *taken, 0.0)

    assert limits.take("a", tokens, size, 2.5) is None


def test_nothing_is_taken_where_a_call_is_refused() -> None:
    limits = limiter()
    limits.begin("a", 0.0)

    assert limits.take("a", 26, 0, 0.0) == "more than 10 tokens a second"
    assert limits.take("a", 25, 101, 0.0) == "more than 100 bytes a second"
    assert limits.take("a", 25, 100, 0.0) is None
    assert limits.take("a", 1, 0, 0.0) == "more than 10 tokens a second"


def test_each_limit_says_which_it_is() -> None:
    limits = limiter()
    limits.begin("a", 0.0)
    limits.begin("a", 0.0)
    assert limits.begin("a", 0.0) == "more than 2 calls at once"

    limits.end("a")
    limits.begin("a", 0.0)
    limits.end("a")
    assert limits.begin("a", 0.0) == "more than 3 calls a second"
    assert limits.begin("a", 0.4) is None


def test_a_peer_is_forgotten_only_once_it_has_everything_back() -> None:
    limits = limiter()
    for peer in "abcd":
        limits.begin(peer, 0.0)
        limits.take(peer, 25, 0, 0.0)
        limits.end(peer)

    assert limits.begin("e", 2.4) == "more than 4 peers ask at once"
    assert limits.begin("a", 2.4) is None
    assert limits.begin("e", 2.5) is None
    assert len(limits) == 4


@pytest.mark.parametrize("backwards", [0.0, -5.0])
def test_a_clock_that_stands_or_goes_back_gives_nothing(backwards: float) -> None:
    limits = limiter()
    limits.begin("a", 10.0)
    limits.take("a", 25, 0, 10.0)

    assert limits.take("a", 1, 0, 10.0 + backwards) is not None
