"""Who may ask is what the file says now, and nobody where it says nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.petals.admission.policy import (
    LIMIT,
    MOST,
    BadPolicy,
    Policy,
    PolicyFile,
    allow,
    block,
    may_ask,
    published,
    read_policy,
    write_policy,
)

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def peer(number: int) -> str:
    return "12D3KooW" + "".join(ALPHABET[number // 58**place % 58] for place in range(44))


ADA, BOB, CYD = peer(1), peer(2), peer(3)
few = st.frozensets(st.sampled_from([ADA, BOB, CYD]))
policies = st.builds(Policy, open=st.booleans(), allowed=few, blocked=few, own=few)


@given(policies, st.sampled_from([ADA, BOB, CYD]))
def test_own_counts_before_blocked_before_open_before_allowed(policy: Policy, who: str) -> None:
    may = who in policy.own or (who not in policy.blocked and (policy.open or who in policy.allowed))

    assert (may_ask(policy, who) is None) == may


def test_without_a_policy_nobody_may_ask() -> None:
    assert may_ask(None, ADA) is not None


@given(policies, st.sampled_from([ADA, BOB, CYD]))
def test_who_is_allowed_may_ask_and_who_is_blocked_may_not(policy: Policy, who: str) -> None:
    assert may_ask(allow(policy, who), who) is None
    if who not in policy.own:
        assert may_ask(block(policy, who), who) == "this peer is blocked"
        assert may_ask(allow(block(policy, who), who), who) is None


def test_an_own_process_cannot_be_blocked() -> None:
    with pytest.raises(BadPolicy, match="own: it cannot be blocked"):
        block(Policy(open=True, own=frozenset({ADA})), ADA)


def test_a_list_that_is_full_and_a_name_that_is_no_peer_are_refused() -> None:
    full = Policy(open=False, allowed=frozenset(peer(number) for number in range(MOST)))

    with pytest.raises(BadPolicy, match="at most 1000 peers"):
        allow(full, peer(MOST))
    with pytest.raises(BadPolicy, match="this is no policy"):
        allow(Policy(open=False), "nobody")


@given(policies)
def test_what_is_written_is_read_again_and_is_for_this_user_alone(tmp_path_factory: pytest.TempPathFactory, policy: Policy) -> None:
    path = tmp_path_factory.mktemp("policy") / "petals" / "policy.json"
    write_policy(path, policy)

    assert read_policy(path) == PolicyFile(path).current() == policy
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]
    assert published(policy).allowed == sorted(policy.allowed)


def test_the_largest_policy_can_be_read_again(tmp_path: Path) -> None:
    full = [frozenset("1" * 12 + peer(3 * number + which) for number in range(MOST)) for which in range(3)]
    write_policy(tmp_path / "policy.json", Policy(open=False, allowed=full[0], blocked=full[1], own=full[2]))

    assert (tmp_path / "policy.json").stat().st_size < LIMIT
    assert read_policy(tmp_path / "policy.json").own == full[2]


def test_a_change_is_seen_at_once_also_within_one_tick_of_the_clock(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    file = PolicyFile(path)
    for number in range(200):
        who = ADA if number % 2 else BOB
        path.write_text(f'{{"open": false, "allowed": ["{who}"]}}')
        assert file.current() == Policy(open=False, allowed=frozenset({who}))


def test_what_has_not_changed_for_a_while_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    write_policy(path, Policy(open=True))
    os.utime(path, ns=(1, 1))
    file = PolicyFile(path)

    assert file.current() is file.current() is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"open": 1}',
        b'{"open": true, "alowed": []}',
        b'{"open": true, "blocked": ["x"]}',
        b'{"open": true}' + b" " * LIMIT,
        b"[" * 100_000,
    ],
)
def test_a_file_that_says_something_else_allows_nobody(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "policy.json"
    file = PolicyFile(path)
    write_policy(path, Policy(open=True))
    assert file.current() is not None

    path.write_bytes(data)

    assert file.current() is None
    with pytest.raises(BadPolicy, match=r"policy\.json"):
        read_policy(path)


def test_a_file_that_is_gone_or_is_none_allows_nobody(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    file = PolicyFile(path)
    write_policy(path, Policy(open=True))
    assert file.current() is not None

    path.unlink()
    assert file.current() is None
    os.mkfifo(path)
    assert file.current() is None
