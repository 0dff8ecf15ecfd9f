"""A door is open to who asks for it by its address, from its own pages, with its token."""

from ipaddress import ip_address

import pytest
from asgi import HOST, scope
from hypothesis import given
from hypothesis import strategies as st

from agents.parts.http.door import BadDoor, open_door
from agents.parts.http.gate import Gate, Proof

LOCAL = Gate(address=ip_address("127.0.0.1"), port=8000)
TOKEN = "0123456789abcdef"
OPEN = Gate(address=ip_address("0.0.0.0"), port=8000, token=TOKEN)
HERE = ("127.0.0.1:8000", "localhost:8000")


def status(gate: Gate, *headers: tuple[str, str]) -> int | None:
    """That of the refusal."""
    refusal = gate.refusal(scope(headers=headers))
    return None if refusal is None else refusal.status


@pytest.mark.parametrize("host", [*HERE, "LOCALHOST:8000"])
def test_who_asks_for_an_address_of_ours_is_let_in(host: str) -> None:
    assert status(LOCAL, ("Host", host)) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost",
        "localhost:8001",
        "localhost:",
        "localhost.:8000",
        "127.0.0.1",
        "127.0.0.2:8000",
        "0.0.0.0:8000",
        "[::1]:8000",
        "[:8000",
        "2130706433:8000",
        "evil.example:8000",
        "localhost.evil.example:8000",
        "localhost:8000@evil.example",
        "user@localhost:8000",
        "localhost:8000, evil.example",
        "localhost:٨٠٠٠".encode().decode("latin-1"),
    ],
)
def test_a_name_that_others_have_pointed_here_is_refused(host: str) -> None:
    assert status(LOCAL, ("Host", host)) == 421


@given(st.text(st.characters(max_codepoint=255)))
def test_no_other_host_is_let_in(host: str) -> None:
    assert status(LOCAL, ("Host", host)) == (None if host.lower() in HERE else 421)


def test_a_host_is_named_once() -> None:
    assert status(LOCAL) == 421
    assert status(LOCAL, ("Host", HOST), ("Host", HOST)) == 421


def test_port_80_need_not_be_named() -> None:
    gate = Gate(address=ip_address("::1"), port=80)

    assert status(gate, ("Host", "[::1]")) is None
    assert status(gate, ("Host", "[::1]:80"), ("Origin", "http://[::1]:80")) is None
    assert status(gate, ("Host", "[0:0:0:0:0:0:0:1]")) is None
    assert status(gate, ("Host", "127.0.0.1")) == 421


def test_behind_tls_port_443_need_not_be_named() -> None:
    gate = Gate(address=ip_address("192.168.1.5"), port=443, scheme="https")

    assert gate.url == "https://192.168.1.5:443"
    assert status(gate, ("Host", "192.168.1.5"), ("Origin", "https://192.168.1.5")) is None
    assert status(gate, ("Host", "192.168.1.5:80")) == 421


def test_pages_that_came_without_tls_may_not_ask_behind_it() -> None:
    gate = Gate(address=ip_address("127.0.0.1"), port=8000, scheme="https")

    assert status(gate, ("Host", HOST), ("Origin", f"https://{HOST}")) is None
    assert status(gate, ("Host", HOST), ("Origin", f"http://{HOST}")) == 403


def test_pages_from_here_may_ask() -> None:
    assert status(LOCAL, ("Host", HOST), ("Origin", f"http://{HOST}"), ("Sec-Fetch-Site", "same-origin")) is None
    assert status(LOCAL, ("Host", HOST), ("Sec-Fetch-Site", "none")) is None


@pytest.mark.parametrize(
    "origin", ["null", "", "http://evil.example", "https://127.0.0.1:8000", "http://localhost:8000", "http://127.0.0.1:80"]
)
def test_other_pages_may_not(origin: str) -> None:
    assert status(LOCAL, ("Host", HOST), ("Origin", origin)) == 403
    assert status(LOCAL, ("Host", HOST), ("Origin", f"http://{HOST}"), ("Origin", origin)) == 403


def test_what_a_browser_says_comes_from_another_site_is_refused() -> None:
    assert status(LOCAL, ("Host", HOST), ("Sec-Fetch-Site", "cross-site")) == 403


@pytest.mark.parametrize("credentials", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"Bearer  {TOKEN} "])
def test_who_has_the_token_is_let_in(credentials: str) -> None:
    assert status(OPEN, ("Host", HOST), ("Authorization", credentials)) is None


@pytest.mark.parametrize("credentials", ["", "Bearer", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}0", f"Bearer {TOKEN[:-1]}", "Bearer ÿ"])
def test_who_has_not_is_refused(credentials: str) -> None:
    assert status(OPEN, ("Host", HOST)) == 401
    assert status(OPEN, ("Host", HOST), ("Authorization", credentials)) == 401
    assert status(OPEN, ("Host", HOST), ("Authorization", f"Bearer {TOKEN}"), ("Authorization", credentials)) == 401


@pytest.mark.parametrize("host", ["192.168.1.5:8000", "[fe80::1]:8000", "localhost:8000"])
def test_a_door_at_every_address_is_asked_for_by_any_of_them(host: str) -> None:
    assert status(OPEN, ("Host", host), ("Authorization", f"Bearer {TOKEN}")) is None


def test_no_name_leads_to_a_door_at_every_address() -> None:
    assert status(OPEN, ("Host", "evil.example:8000"), ("Authorization", f"Bearer {TOKEN}")) == 421


def test_a_secret_may_come_in_a_header_of_its_own() -> None:
    gate = Gate(address=ip_address("127.0.0.1"), port=8000, token=TOKEN, proof=Proof("passphrase", b"passphrase", "", "Passphrase: YOURS"))

    assert status(gate, ("Host", HOST), ("Passphrase", TOKEN)) is None
    assert status(gate, ("Host", HOST), ("Passphrase", TOKEN.upper())) == 401
    assert status(gate, ("Host", HOST), ("Authorization", f"Bearer {TOKEN}")) == 401


def test_a_door_at_one_address_of_a_network_is_asked_for_by_it() -> None:
    gate = Gate(address=ip_address("192.168.1.5"), port=8000, token=TOKEN)

    assert status(gate, ("Host", "192.168.1.5:8000"), ("Authorization", f"Bearer {TOKEN}")) is None
    assert status(gate, ("Host", "localhost:8000"), ("Authorization", f"Bearer {TOKEN}")) == 421


@pytest.mark.parametrize(
    ("host", "token", "reason"),
    [
        ("0.0.0.0", None, "set a token"),
        ("192.168.1.5", None, "set a token"),
        ("::", None, "set a token"),
        ("0.0.0.0", "short", "16 or more"),
        ("127.0.0.1", "", "16 or more"),
        ("0.0.0.0", "a token with blanks", "printable"),
        ("0.0.0.0", "ein geheimes Wört", "printable"),
        ("example.org", TOKEN, "no IP address"),
    ],
)
def test_a_door_to_other_machines_has_a_token(host: str, token: str | None, reason: str) -> None:
    with pytest.raises(BadDoor, match=reason):
        open_door(host, 0, token)


@pytest.mark.parametrize("size", [17_000, 60_000])
def test_a_head_beyond_its_bound_is_refused(size: int) -> None:
    many = [("Host", HOST), *[("X", "a" * 99)] * (size // 100)]

    assert status(LOCAL, *many) == 431
    assert status(LOCAL, *many[:100]) is None
    refusal = LOCAL.refusal(scope(path="/" + "a" * size))
    assert refusal is not None and refusal.status == 431


def test_of_what_a_client_sent_little_is_told_it() -> None:
    refusals = [LOCAL.refusal(scope(headers=headers)) for headers in ((("Host", "a" * 9000),), (("Host", HOST), ("Origin", "b" * 9000)))]

    assert all(refusal is not None and len(refusal.message) < 200 for refusal in refusals)


def test_a_door_is_at_an_address_and_at_no_interface() -> None:
    with pytest.raises(BadDoor, match="names a network interface"):
        open_door("fe80::1%eth0", 0, TOKEN)
