"""Where the bridge looks for an engine, in which order, and how long it waits between."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.ue5.connection.delays import FIRST, LAST, Delays
from agents.ue5.connection.discovery import UNREAL, Address, BadAddress, candidates, parse_address
from schemas import engine

SERVING = engine.Serving(
    engine="embedded-panda3d",
    version="1.10.16",
    renderer="gl",
    driver="llvmpipe",
    http="http://127.0.0.1:41000",
    websocket="ws://127.0.0.1:41007",
)


def test_an_address_that_was_given_is_the_only_one() -> None:
    given_address = Address("192.168.1.5", 30010, 30020)
    assert [each.address for each in candidates(given_address, SERVING)] == [given_address]


def test_unreal_comes_first_and_then_the_embedded_engine_where_it_says() -> None:
    assert [each.address for each in candidates(None, SERVING)] == [UNREAL, Address("127.0.0.1", 41000, 41007)]
    assert [each.address for each in candidates(None, None)] == [UNREAL]


def test_an_embedded_engine_that_nobody_announced_is_somebody_elses() -> None:
    unreal, announced = candidates(None, SERVING)
    assert unreal.takes("5.6.1-44394996+++UE5+Release-5.6")
    assert not unreal.takes("embedded-panda3d 1.10.16")
    assert announced.takes("embedded-panda3d 1.10.16")


def test_an_embedded_engine_may_be_given_by_hand() -> None:
    (only,) = candidates(Address("127.0.0.1", 30010, 30020), None)
    assert only.takes("embedded-panda3d 1.10.16")


@pytest.mark.parametrize("http", ["http://192.168.1.5:30010", "http://engine.example:30010", "http://[2001:db8::1]:30010"])
def test_an_engine_on_another_machine_is_none_that_may_announce_itself(http: str) -> None:
    with pytest.raises(BadAddress, match=r"only an address that ue5\.address names"):
        candidates(None, msgspec.structs.replace(SERVING, http=http))


@pytest.mark.parametrize("http", ["http://localhost:41000", "http://[::1]:41000"])
def test_this_machine_has_more_than_one_name(http: str) -> None:
    assert len(candidates(None, msgspec.structs.replace(SERVING, http=http))) == 2


@pytest.mark.parametrize("text", ["127.0.0.1:30010", "http://127.0.0.1:30010", "http://127.0.0.1:30010/"])
def test_an_address_is_read_with_or_without_its_scheme(text: str) -> None:
    assert parse_address(text) == Address("127.0.0.1", 30010, 30020)


@pytest.mark.parametrize("text", ["", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "a b:30010", "127.0.0.1:30010/remote", "user@host:1"])
def test_what_is_no_address_is_refused_with_one_that_is(text: str) -> None:
    with pytest.raises(BadAddress, match=r"want one as 127\.0\.0\.1:30010"):
        parse_address(text)


@given(st.text())
def test_no_text_does_anything_but_be_an_address_or_be_refused(text: str) -> None:
    try:
        address = parse_address(text)
    except BadAddress:
        return
    assert parse_address(str(address)) == address


def test_waiting_grows_to_its_limit_and_no_further() -> None:
    delays = Delays()
    waits = [delays.after(0.0) for _ in range(20)]
    assert waits[0] == FIRST
    assert waits == sorted(waits)
    assert waits[-1] == LAST


def test_a_connection_that_was_sound_is_looked_for_again_at_once() -> None:
    delays = Delays()
    for _ in range(10):
        delays.after(0.0)
    assert delays.after(LAST + 1) == FIRST


def test_an_engine_that_drops_each_connection_is_not_hammered() -> None:
    delays = Delays()
    assert [delays.after(0.1) for _ in range(6)][-1] == LAST
