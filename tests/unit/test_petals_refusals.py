"""Refusals become few records that say how many they were, and records pass a pipe that nobody empties without waiting for it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.petals import messages
from agents.petals.admission.record_pipe import ATOMIC, LONGEST, RecordPipe, shortened
from agents.petals.admission.refusals import FEW, MINUTE, MOST, Refusals
from agents.petals.messages import PREFIX, Asked, encode
from schemas.petals import Request

PEER = "12D3KooWPbuu7XCAR6KwzYUud6DtJXVCqKLcdhydiyEdxsxXweAh"


def refusal(peer: str = PEER, reason: str = "this peer is blocked", **fields: int) -> Request:
    return Request(peer=peer, rpc="rpc_info", outcome="refused", reason=reason, **fields)


moments = st.lists(
    st.tuples(st.floats(0, 3), st.sampled_from("abc"), st.sampled_from(["blocked", "too often"]), st.booleans()), max_size=60
)


@given(moments)
def test_every_refusal_is_in_one_record_of_its_peer_and_reason_and_none_is_of_more_than_a_second(
    happened: list[tuple[float, str, str, bool]],
) -> None:
    refusals, now, records = Refusals(), 0.0, list[tuple[float, Request]]()
    asked: Counter[tuple[str, str | None]] = Counter()
    for seconds, peer, reason, looks in happened:
        now += seconds
        if looks:
            records += [(now, record) for record in refusals.due(now)]
        refusals.add(refusal(peer, reason, bytes_in=7), now, stranger=False)
        asked[peer, reason] += 1
    records += [(now, record) for record in refusals.all()]

    told: Counter[tuple[str, str | None]] = Counter()
    for _, record in records:
        told[record.peer, record.reason] += record.count
        assert record.bytes_in == 7 * record.count
    assert told == asked
    assert refusals.all() == []


def test_a_second_begins_with_its_first_refusal() -> None:
    refusals = Refusals()
    refusals.add(refusal(), 10.0, stranger=False)
    refusals.add(refusal(), 10.9, stranger=False)

    assert refusals.due(10.9) == []
    (record,) = refusals.due(11.0)
    assert record.count == 2


def test_a_thousand_peers_that_may_ask_fill_no_memory_and_are_counted() -> None:
    refusals = Refusals()
    for number in range(1000):
        refusals.add(refusal(f"peer-{number}"), 0.0, stranger=False)

    records = refusals.due(1.0)

    assert len(records) == MOST
    assert records[-1].reason == f"{1000 - MOST} refusals of other peers are not listed; this peer is blocked"
    refusals.add(refusal(), 1.0, stranger=False)
    assert refusals.due(2.0)[0].reason == "this peer is blocked"


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(1, 40), st.booleans()), max_size=30))
def test_strangers_under_ever_new_names_have_few_records_a_minute_and_each_is_counted(happened: list[tuple[float, int, bool]]) -> None:
    refusals, now, asked, records = Refusals(), 0.0, 0, list[Request]()
    for seconds, strangers, looks in happened:
        now += seconds
        if looks:
            records += refusals.due(now)
        for number in range(strangers):
            refusals.add(refusal(f"{now} {number}", "this peer is not allowed"), now, stranger=True)
        asked += strangers
    records += refusals.all()

    assert sum(record.count for record in records) == asked
    assert len(records) <= (FEW + 1) * (now // MINUTE + 1)


def test_strangers_that_go_on_have_one_record_a_minute_and_a_peer_that_may_ask_its_own() -> None:
    refusals, records = Refusals(), list[Request]()
    for second in range(600):
        for number in range(50):
            refusals.add(refusal(f"{second} {number}", "this peer is not allowed"), float(second), stranger=True)
        refusals.add(refusal(reason="too often"), float(second), stranger=False)
        records += refusals.due(float(second))
    records += refusals.all()

    strangers = [record for record in records if record.peer != PEER]
    assert len(strangers) == FEW + 600 // MINUTE
    assert sum(record.count for record in strangers) == 600 * 50
    assert strangers[-1].reason == "this peer and others; this peer is not allowed"
    assert sum(record.count for record in records if record.peer == PEER) == 600


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for end in (reading, writing):
        try:
            os.close(end)
        except OSError:
            continue


def frames(reading: int, writing: int) -> list[Request]:
    os.close(writing)
    found = []
    with os.fdopen(os.dup(reading), "rb") as file:
        while isinstance(message := messages.read(file), Asked):
            found.append(message.request)
    return found


def test_records_come_as_they_were(pipe: tuple[int, int]) -> None:
    records = [refusal(count=3), Request(peer=PEER, rpc="rpc_forward", outcome="served", start=0, end=2, tokens=5, seconds=0.25)]
    tell = RecordPipe(pipe[1])
    for record in records:
        tell(record)

    assert frames(*pipe) == records


def test_a_full_pipe_is_not_waited_for_and_what_it_lost_is_said(pipe: tuple[int, int]) -> None:
    tell = RecordPipe(pipe[1])
    for _ in range(2000):
        tell(refusal())
    lost = tell.lost
    os.read(pipe[0], 8192)
    tell(refusal())
    tell(Request(peer=PEER, rpc="rpc_info", outcome="served"))

    rest = os.read(pipe[0], 1 << 20)
    assert lost > 0 == tell.lost
    assert f"{lost} records before this one were lost; this peer is blocked".encode() in rest
    assert rest.endswith(encode(Asked(request=Request(peer=PEER, rpc="rpc_info", outcome="served"))))


def test_a_closed_pipe_ends_nothing(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    tell = RecordPipe(pipe[1])
    tell(refusal())

    assert tell.lost == 1


largest = st.integers(0, 2**63 - 1)


@given(st.text(), st.floats(), largest, largest, largest, largest, st.integers(0, 2**31))
def test_no_frame_is_larger_than_what_is_written_as_one_piece(
    reason: str, seconds: float, count: int, tokens: int, bytes_in: int, bytes_out: int, block: int
) -> None:
    record = Request(
        peer="Q" * 64,
        rpc="rpc_backward_stream",
        outcome="refused",
        start=block,
        end=block,
        seconds=seconds,
        tokens=tokens,
        bytes_in=bytes_in,
        bytes_out=bytes_out,
        reason=shortened(reason + "x" * LONGEST),
        count=count,
    )

    assert len(encode(Asked(request=record))) <= ATOMIC
    assert len(encode(Asked(request=record))) > PREFIX + LONGEST


@given(st.text(st.characters(), max_size=300))
def test_a_reason_is_cut_between_letters(reason: str) -> None:
    short, whole = shortened(reason), reason.encode(errors="replace").decode()

    assert len(short.encode()) <= LONGEST
    assert short == whole or (len(whole.encode()) > LONGEST and whole.startswith(short.removesuffix("...")))
