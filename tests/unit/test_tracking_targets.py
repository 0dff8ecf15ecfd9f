"""Targets: an address of one receiver or group, or a setting that says what to write."""

from __future__ import annotations

import math
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.ue5.tracking.targets import Target, Targets, parse_target, source
from bus.settings import BadSettings

hosts = st.ip_addresses(v=4).filter(lambda address: not address.is_reserved and not address.is_unspecified).map(str)


@given(hosts, st.integers(1, 65535), st.floats(0.1, 1000))
def test_any_address_that_is_named_is_taken(host: str, port: int, rate: float) -> None:
    assert parse_target("tracking.osc", f"{host}:{port}", rate) == Target(host=host, port=port, rate=rate)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "localhost:9000",
        "stage.example:9000",
        "[::1]:9000",
        "127.0.0.1:9000 ",
        "127.1:9000",
        "127.0.0.01:9000",
        "0.0.0.0:9000",
        "255.255.255.255:9000",
        "127.0.0.1:٩٠",
    ],
)
def test_what_is_no_address_is_refused_with_an_example(written: str) -> None:
    with pytest.raises(BadSettings, match=r"tracking\.osc is .*as 127\.0\.0\.1:55555"):
        parse_target("tracking.osc", written, 60)


@given(st.text(max_size=25))
def test_any_text_is_an_address_or_refused(written: str) -> None:
    try:
        target = parse_target("tracking.osc", written, 60)
    except BadSettings:
        return
    assert IPv4Address(target.host) and 0 < target.port < 65536


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf, 1001])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(BadSettings, match="want a rate"):
        parse_target("tracking.osc", "127.0.0.1:9000", rate)


def test_nothing_is_asked_for_by_default() -> None:
    assert not Targets().asked


def test_a_target_reads_as_it_is_written() -> None:
    assert str(parse_target("tracking.osc", "127.0.0.1:9000", 60)) == "127.0.0.1:9000, 60 Hz"


@pytest.mark.parametrize(
    ("host", "number", "there"),
    [("239.135.1.1", 1, ("239.135.1.1", 1)), ("239.135.1.14", 3, ("239.135.1.16", 16)), ("127.0.0.1", 3, ("127.0.0.1", 3))],
)
def test_in_the_groups_of_opentrackio_each_source_has_its_own(host: str, number: int, there: tuple[str, int]) -> None:
    assert source(Target(host=host, port=55555, rate=60), number) == there
