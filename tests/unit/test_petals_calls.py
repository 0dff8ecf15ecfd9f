"""Every call is let in or refused, and ends in a record, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.petals.admission.guard import Guard, Refused
from agents.petals.admission.limits import Limiter
from agents.petals.admission.policy import Policy, PolicyFile, allow, block, write_policy
from agents.petals.admission.shares import Shares
from agents.petals.messages import Limits
from schemas.petals import Request

ADA = "12D3KooWPbuu7XCAR6KwzYUud6DtJXVCqKLcdhydiyEdxsxXweAh"
LIMITS = Limits(requests_per_second=3.0, tokens_per_second=10.0, bytes_per_second=100.0, at_once=1)


class Host:
    """A guard with a clock that a test sets, and the records of it."""

    def __init__(self, folder: Path, policy: Policy) -> None:
        self.path, self.policy = folder / "policy.json", policy
        self.change(lambda policy, _: policy)
        self.now = 0.0
        self.records: list[Request] = []
        self.guard = Guard(PolicyFile(self.path), Limiter(LIMITS, 10, 100), Shares(400, 10), self.records.append, lambda: self.now)

    def change(self, how: Callable[[Policy, str], Policy]) -> None:
        self.policy = how(self.policy, ADA)
        write_policy(self.path, self.policy)

    def told(self) -> list[Request]:
        self.guard.tell(all_of_it=True)
        return self.records


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, allow(Policy(open=False), ADA))


def test_a_call_that_is_served_is_recorded_with_what_passed(host: Host) -> None:
    with host.guard.call(ADA, "rpc_forward") as call:
        call.start, call.end = 2, 4
        host.guard.take(call, size=60)
        host.guard.take(call, tokens=5)
        call.bytes_out += 40
        host.now = 0.5

    (record,) = host.records
    assert record == Request(
        peer=ADA, rpc="rpc_forward", outcome="served", start=2, end=4, seconds=0.5, tokens=5, bytes_in=60, bytes_out=40
    )


def test_who_may_not_ask_is_refused_before_anything_is_done(host: Host) -> None:
    host.change(block)

    for _ in range(5):
        with pytest.raises(Refused, match="refused: this peer is blocked"), host.guard.call(ADA, "rpc_info"):
            raise AssertionError("it was let in")

    (record,) = host.told()
    assert (record.outcome, record.reason, record.count) == ("refused", "this peer is blocked", 5)


def test_a_block_counts_in_the_middle_of_a_call(host: Host) -> None:
    with pytest.raises(Refused, match="this peer is blocked"), host.guard.call(ADA, "rpc_inference") as call:
        host.guard.take(call, tokens=1)
        host.change(block)
        host.guard.take(call, tokens=1)

    (record,) = host.told()
    assert (record.outcome, record.tokens) == ("refused", 1)


def test_a_call_that_ends_somehow_gives_its_place_back(host: Host) -> None:
    for error in (ValueError("no"), Refused("no"), asyncio.CancelledError(), GeneratorExit(), KeyboardInterrupt()):
        host.now += 1
        with pytest.raises(type(error)), host.guard.call(ADA, "rpc_info"):
            raise error

    assert [(each.outcome, each.reason) for each in host.told()] == [
        ("failed", "ValueError: no"),
        ("failed", "the peer went away"),
        ("failed", "the peer went away"),
        ("failed", "KeyboardInterrupt: "),
        ("refused", "no"),
    ]


def test_a_limit_ends_a_call_in_the_middle_with_its_reason(host: Host) -> None:
    with pytest.raises(Refused, match="refused: more than 10 tokens a second"), host.guard.call(ADA, "rpc_inference") as call:
        for _ in range(20):
            host.guard.take(call, tokens=1, size=1)

    (record,) = host.told()
    assert (record.outcome, record.tokens, record.bytes_in) == ("refused", 10, 11)


def test_a_second_call_at_once_is_refused_and_the_first_goes_on(host: Host) -> None:
    with host.guard.call(ADA, "rpc_inference") as call:
        with pytest.raises(Refused, match="more than 1 calls at once"), host.guard.call(ADA, "rpc_info"):
            raise AssertionError("it was let in")
        host.guard.take(call, tokens=1)

    assert [each.outcome for each in host.told()] == ["served", "refused"]


def test_own_processes_have_no_limits_also_where_they_are_no_longer_own(tmp_path: Path) -> None:
    host = Host(tmp_path, Policy(open=True, own=frozenset({ADA})))
    with host.guard.call(ADA, "rpc_inference") as call:
        host.guard.take(call, tokens=1000, size=10_000)
        host.change(lambda policy, _: Policy(open=True))
        host.guard.take(call, tokens=1000)

    assert host.records[0].tokens == 2000


def test_refusals_are_told_once_their_second_is_over(host: Host) -> None:
    host.change(block)
    with pytest.raises(Refused), host.guard.call(ADA, "rpc_info"):
        raise AssertionError("it was let in")

    host.guard.tell()
    assert host.records == []
    host.now = 1.0
    host.guard.tell()
    assert [each.outcome for each in host.records] == ["refused"]


def test_the_cache_that_a_session_held_is_given_back_however_it_ends(host: Host) -> None:
    for tokens in (100, 100):
        host.now += 1
        with pytest.raises(KeyError), host.guard.call(ADA, "rpc_inference") as call, host.guard.holding(call, tokens):
            with pytest.raises(Refused, match="refused: more than 100 tokens of the attention cache"), host.guard.holding(call, 1):
                raise AssertionError("it was let in")
            raise KeyError


def test_own_processes_hold_as_much_of_the_cache_as_there_is(tmp_path: Path) -> None:
    host = Host(tmp_path, Policy(open=True, own=frozenset({ADA})))

    with host.guard.call(ADA, "rpc_inference") as call, host.guard.holding(call, 400):
        assert host.guard.shares.held(ADA) == 0
