"""What looks at a swarm become: joins, leaves, scores."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agents.petals.health import Roster
from agents.petals.messages import Seen, SeenPeer
from schemas import petals

A, B, C = ("Qm" + letter * 44 for letter in "ABC")


def peer(name: str, start: int, end: int, rtt: float | None = 0.001, state: petals.PeerState = "online", failed: int = 0) -> SeenPeer:
    return SeenPeer(
        peer=name, start=start, end=end, state=state, rtt=rtt, answered=int(rtt is not None), failed=failed, throughput=None, dtype=None,
        cache_tokens_left=None,
    )  # fmt: skip


def roster(*blocked: str) -> Roster:
    return Roster("model", frozenset({A}), lambda name: name not in blocked)


def take(members: Roster, *peers: SeenPeer) -> list[petals.Joined | petals.Left]:
    return list(members.take(Seen(layers=4, peers=list(peers))))


def health(members: Roster) -> petals.Health:
    assert members.health is not None
    return members.health


def test_a_peer_joins_once_and_leaves_once() -> None:
    members = roster()

    assert [type(change).__name__ for change in take(members, peer(A, 0, 2), peer(B, 2, 4))] == ["Joined", "Joined"]
    assert take(members, peer(A, 0, 2), peer(B, 2, 4)) == []
    assert take(members, peer(A, 0, 2)) == [petals.Left(peer=B, start=2, end=4, own=False)]
    assert list(members.close()) == [petals.Left(peer=A, start=0, end=2, own=True)]


def test_a_peer_that_is_announced_and_does_not_answer_is_not_there() -> None:
    members = roster()
    take(members, peer(A, 0, 2), peer(B, 2, 4))

    assert take(members, peer(A, 0, 2), peer(B, 2, 4, rtt=None, failed=1)) == [petals.Left(peer=B, start=2, end=4, own=False)]
    assert (health(members).complete, health(members).missing, health(members).score) == (False, [2, 3], 0.0)


def test_a_peer_that_is_not_allowed_completes_nothing() -> None:
    members = roster(B)
    take(members, peer(A, 0, 2), peer(B, 2, 4))

    assert health(members).missing == [2, 3]
    assert [each.allowed for each in health(members).peers] == [True, False]


def test_a_peer_with_other_blocks_leaves_and_joins() -> None:
    members = roster()
    take(members, peer(A, 0, 2))

    changes = take(members, peer(A, 1, 3))
    assert changes[0] == petals.Left(peer=A, start=0, end=2, own=True)
    assert isinstance(changes[1], petals.Joined)


def test_failed_probes_and_slow_pings_lower_a_score() -> None:
    members = roster()
    take(members, peer(A, 0, 4), peer(B, 0, 4, failed=3), peer(C, 0, 4, rtt=1.0))

    scores = {each.peer: each.score for each in health(members).peers}
    assert scores[A] > scores[B] > 0
    assert scores[A] > scores[C] > 0


def test_the_score_is_that_of_the_weakest_block() -> None:
    members = roster()
    take(members, peer(A, 0, 4, failed=9), peer(B, 0, 2))

    scores = {each.peer: each.score for each in health(members).peers}
    assert health(members).score == scores[A] < scores[B]


def test_health_is_said_when_something_changes_and_now_and_then() -> None:
    members = roster()
    take(members, peer(A, 0, 4))
    said = [members.news(0.0) is not None]
    take(members, peer(A, 0, 4))
    said.append(members.news(2.0) is not None)
    said.append(members.news(70.0) is not None)
    take(members, peer(A, 0, 4, rtt=None, failed=1))
    said.append(members.news(71.0) is not None)

    assert said == [True, False, True, True]


@given(st.lists(st.dictionaries(st.sampled_from([A, B, C]), st.tuples(st.integers(0, 1), st.integers(2, 4), st.booleans()))))
def test_joins_and_leaves_alternate_for_each_peer_and_its_blocks(looks: list[dict[str, tuple[int, int, bool]]]) -> None:
    members = roster()
    present: dict[str, tuple[int, int]] = {}
    for look in looks:
        for change in take(members, *(peer(name, a, b, rtt=0.001 if up else None) for name, (a, b, up) in look.items())):
            if isinstance(change, petals.Joined):
                assert change.peer not in present
                present[change.peer] = change.start, change.end
            else:
                assert present.pop(change.peer) == (change.start, change.end)
        assert present == {name: (a, b) for name, (a, b, up) in look.items() if up}
        assert 0 <= health(members).score <= 1
