"""The doors over real sockets: who may not come in is refused as said, what is no message ends its page alone, and the door goes on."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import wait_for
from doors import PATIENCE, ask_raw, connect, everything, served
from page_socket import PageSocket, open_page_socket
from websockets.exceptions import ConnectionClosed, InvalidStatus

from agents.parts.http import serving, websocket
from agents.parts.http.door import Door
from agents.xr.door import stream
from agents.xr.door.admission import Admission
from agents.xr.door.answers import guarded
from agents.xr.door.certificate import NAME, Certificate, keep_certificate, names_of
from agents.xr.door.doors import Doors, NoLan
from agents.xr.door.metrics import Metric, Metrics
from agents.xr.door.pairing import INVITATION_SECONDS, Pairing
from agents.xr.door.pictures import Pictures
from agents.xr.door.site import Site
from agents.xr.door.stream import MESSAGE_BYTES, MESSAGES_A_SECOND, Streams
from agents.xr.settings import XrSettings
from agents.xr.wire.messages import End, Hello, Message, Ping, Pong
from schemas import xr

HELLO = json.dumps({"type": "hello", "page": "0123abcd", "kind": "poses", "user_agent": "a test"})
END = json.dumps({"type": "end", "session": "s", "reason": "over"})


def ping(number: int) -> bytes:
    """As docs/xr-wire.md has it."""
    return struct.pack("<BBHId", 2, 1, 0, number, 12.5)


@dataclass
class Guest:
    """Listens to one page."""

    hello: Hello
    messages: list[tuple[Message, int]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def heard(self, message: Message, received: int) -> Pong | None:
        self.messages.append((message, received))
        if isinstance(message, Ping):
            return Pong(number=message.number, asked=message.asked, received=received, sent=0)
        return None

    def left(self, reason: str) -> None:
        self.reasons.append(reason)


class Room:
    """All guests, and the site that lets them in."""

    def __init__(self) -> None:
        self.guests: list[Guest] = []
        self.streams = Streams(self.welcome)
        self.site = Site(self.streams, Pictures(endless), Metrics(lambda: []))

    def welcome(self, hello: Hello) -> Guest:
        self.guests.append(Guest(hello))
        return self.guests[-1]


async def endless() -> AsyncIterator[tuple[int, bytes]]:
    sequence = 0
    while True:
        sequence += 1
        yield sequence, bytes(50_000)
        await asyncio.sleep(0.001)


@pytest.fixture
def room() -> Room:
    return Room()


@contextmanager
def on_loopback(room: Room) -> Iterator[Door]:
    with served(lambda gate: guarded(room.site.application(), gate), message_bytes=MESSAGE_BYTES) as door:
        yield door


@pytest.fixture
def loopback(room: Room) -> Iterator[Door]:
    with on_loopback(room) as door:
        yield door


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return keep_certificate(tmp_path_factory.mktemp("door"), names_of([], []), datetime.now(UTC))


@pytest.fixture(scope="module")
def trusting(certificate: Certificate) -> ssl.SSLContext:
    return trusting_in(certificate.path.parent)


class Clock:
    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return time.time_ns() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pairing(clock: Clock) -> Pairing:
    return Pairing(b"k" * 32, clock)


@pytest.fixture
def lan(room: Room, pairing: Pairing, certificate: Certificate) -> Iterator[Door]:
    """A door of the LAN, at loopback."""
    with served(
        lambda gate: guarded(Admission(room.site, pairing, gate.port), gate), tls=certificate.context(), message_bytes=MESSAGE_BYTES
    ) as door:
        yield door


def open_stream(door: Door, trusting: ssl.SSLContext | None = None, cookie: str = "", origin: str | None = None) -> PageSocket:
    """A page's WebSocket. Raises InvalidStatus."""
    return open_page_socket(stream_of(door.url), trusting, origin or door.url, cookie)


def stream_of(url: str) -> str:
    return url.replace("http", "ws", 1) + "/stream"


@contextmanager
def page(door: Door, trusting: ssl.SSLContext | None = None, cookie: str = "") -> Iterator[PageSocket]:
    """One that has said hello."""
    with open_stream(door, trusting, cookie) as connected:
        connected.send(HELLO)
        yield connected


def answers(connected: PageSocket, number: int = 1) -> bool:
    """Whether a ping is answered with its own number."""
    connected.send(ping(number))
    return struct.unpack("<BBHIdqq", connected.recv())[:5] == (3, 1, 0, number, 12.5)


def closed_with(connected: PageSocket) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            connected.recv()
    assert closed.value.rcvd is not None, "cut, and not closed"
    return closed.value.rcvd.code, closed.value.rcvd.reason


def request(door: Door, trusting: ssl.SSLContext, method: str, path: str, body: str = "", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPSConnection("127.0.0.1", door.gate.port, context=trusting, timeout=PATIENCE)
    connection.request(method, path, body or None, headers)
    return connection.getresponse()


def hand_in(door: Door, trusting: ssl.SSLContext, token: str) -> http.client.HTTPResponse:
    return request(door, trusting, "POST", "/pair", json.dumps({"token": token}), Origin=door.url)


def cookie_of(response: http.client.HTTPResponse) -> str:
    assert response.status == 204
    return response.headers["Set-Cookie"].partition(";")[0]


def status_of_stream(door: Door, trusting: ssl.SSLContext | None = None, cookie: str = "", origin: str | None = None) -> int:
    """That a WebSocket is refused with; 101 where it is not."""
    try:
        with open_stream(door, trusting, cookie, origin):
            return 101
    except InvalidStatus as refusal:
        return refusal.response.status_code


def test_a_page_is_heard_and_answered(loopback: Door, room: Room) -> None:
    before = time.time_ns()
    with page(loopback) as connected:
        connected.send(ping(7))
        _, _, _, number, asked, received, sent = struct.unpack("<BBHIdqq", connected.recv())
        connected.send(END)
        wait_for(lambda: len(room.guests[0].messages) == 2, "both messages to be heard")

    assert (number, asked) == (7, 12.5) and before <= received <= sent <= time.time_ns()
    assert [type(message) for message, _ in room.guests[0].messages] == [Ping, End]
    wait_for(lambda: room.guests[0].reasons == ["the page has closed the connection"], "the guest to be told that the page left")


MALFORMED = [
    b"",
    b"\x00",
    b"\xff" * 9,
    ping(1)[:-1],
    ping(1) + b"\x00",
    ping(1).replace(b"\x01", b"\x09", 1),
    "no JSON",
    "{}",
    '{"type": "frame"}',
]


@pytest.mark.parametrize("said", MALFORMED)
def test_what_is_no_message_ends_its_page_and_no_other(loopback: Door, room: Room, said: bytes | str) -> None:
    with page(loopback) as good, page(loopback) as bad:
        bad.send(said)
        assert closed_with(bad)[0] == 1007
        assert answers(good)

    assert room.streams.refused == {"malformed": 1}


@pytest.mark.parametrize("said", [bytes(MESSAGE_BYTES + 1), "a" * 4097])
def test_what_is_too_long_is_refused(loopback: Door, room: Room, said: bytes | str) -> None:
    with page(loopback) as connected:
        connected.send(said)
        assert closed_with(connected)[0] == 1009

    wait_for(lambda: room.streams.refused == {"too_long": 1}, "it to be counted")
    with page(loopback) as another:
        assert answers(another)


def test_a_flood_is_refused(loopback: Door, room: Room) -> None:
    with page(loopback) as connected:
        for _ in range(2 * MESSAGES_A_SECOND + 1):
            connected.send(END)
        assert closed_with(connected) == (1008, f"more than {MESSAGES_A_SECOND} messages in a second")

    assert room.streams.refused == {"too_many": 1}
    with page(loopback) as another:
        assert answers(another)


@pytest.mark.parametrize("said", [ping(1), END])
def test_a_page_says_hello_first(loopback: Door, room: Room, said: bytes | str) -> None:
    with open_stream(loopback) as connected:
        connected.send(said)
        assert closed_with(connected) == (1008, "the first message of a page is its hello")

    assert room.guests == []


def test_a_page_says_hello_once(loopback: Door) -> None:
    with page(loopback) as connected:
        connected.send(HELLO)
        assert closed_with(connected) == (1008, "a page says hello once")


def test_a_silent_client_is_given_up(loopback: Door, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HELLO_SECONDS", 0.1)
    with open_stream(loopback) as connected:
        assert closed_with(connected) == (1008, "no hello within 0.1 s")

    assert room.streams.refused == {"silent": 1}


def test_text_that_is_none_is_refused(loopback: Door, room: Room) -> None:
    with page(loopback) as connected:
        connected.send_text(b"\xff\xfe")
        assert closed_with(connected)[0] == 1007

    wait_for(lambda: room.streams.refused == {"malformed": 1}, "it to be counted")


def test_so_many_pages_and_no_more(loopback: Door, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CONNECTIONS", 1)
    with page(loopback) as connected:
        assert answers(connected)
        assert status_of_stream(loopback) == 503
    wait_for(lambda: status_of_stream(loopback) == 101, "the page that left to make room")


@contextmanager
def raw_stream(door: Door) -> Iterator[socket.socket]:
    """A page's WebSocket without a library that reads, and answers pings, by itself. Its frames are masked with zeros."""
    with connect(door) as raw:
        say_hello(raw, door)
        yield raw


def say_hello(raw: socket.socket, door: Door) -> None:
    raw.sendall(upgrade(door.gate.authority))
    assert raw.recv(12) == b"HTTP/1.1 101"
    raw.sendall(bytes([0x81, 0x80 | len(HELLO)]) + bytes(4) + HELLO.encode())


def upgrade(host: str) -> bytes:
    head = ["GET /stream HTTP/1.1", f"Host: {host}", "Connection: Upgrade", "Upgrade: websocket"]
    return "\r\n".join([*head, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "", ""]).encode()


PING = b"\x89\xfd" + bytes(4 + 125)
"""RFC 6455, section 5.2: as long as it may be."""
EMPTY_PARTS = b"\x02\x80" + bytes(4) + (b"\x00\x80" + bytes(4)) * websocket.FRAGMENTS
"""A message of bytes that has none, and does not end."""


def test_one_that_pings_and_reads_nothing_is_cut(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "PONG_SECONDS", 600)  # it would be cut for that, too
    with on_loopback(room) as door, raw_stream(door) as raw, pytest.raises(ConnectionError):
        for _ in range(300):  # 40 MB, far more than the system takes for it
            raw.sendall(PING * 1000)

    assert room.guests[0].reasons == ["the connection was lost"]


def test_a_message_in_endless_parts_is_cut(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "PONG_SECONDS", 600)  # as above
    with on_loopback(room) as door, raw_stream(door) as raw:
        raw.sendall(EMPTY_PARTS)
        wait_for(lambda: room.guests and room.guests[0].reasons, "its guest to be told")


def test_one_that_answers_no_ping_is_cut(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "PING_SECONDS", 0.1)
    monkeypatch.setattr(serving, "PONG_SECONDS", 0.1)
    with on_loopback(room) as door, raw_stream(door) as raw:
        everything(raw)

    assert room.guests[0].reasons == ["the connection was lost"]


def test_one_that_answers_no_close_is_cut(loopback: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "FAREWELL_SECONDS", 0.1)
    with raw_stream(loopback) as raw:
        raw.settimeout(PATIENCE / 2)  # by itself uvicorn waits for twice as long
        raw.sendall(b"\x82\x80" + bytes(4))  # no message
        with suppress(ConnectionResetError):
            assert b"a message has" in everything(raw)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://127.0.0.1:1"])
def test_a_page_of_another_site_opens_no_stream(loopback: Door, origin: str) -> None:
    assert status_of_stream(loopback, origin=origin) == 403
    assert status_of_stream(loopback) == 101


def test_a_stream_that_is_asked_for_by_another_name_is_refused(loopback: Door) -> None:
    assert ask_raw(loopback, upgrade("evil.example")).startswith(b"HTTP/1.1 421")


def test_who_is_refused_leaves_no_error_in_the_log(room: Room, capfd: pytest.CaptureFixture[str]) -> None:
    with on_loopback(room) as door:
        assert status_of_stream(door, origin="https://evil.example") == 403

    assert "error" not in "".join(capfd.readouterr()).lower()


def test_a_headset_is_paired_by_a_token_and_comes_in(lan: Door, room: Room, pairing: Pairing, trusting: ssl.SSLContext) -> None:
    cookie = cookie_of(hand_in(lan, trusting, pairing.invite().token))

    with page(lan, trusting, cookie) as connected:
        assert answers(connected)
    assert request(lan, trusting, "GET", "/metrics", Cookie=cookie).status == 200


def test_who_is_not_paired_opens_no_stream(lan: Door, trusting: ssl.SSLContext) -> None:
    assert status_of_stream(lan, trusting) == 401
    assert status_of_stream(lan, trusting, f"__Host-xr-{lan.gate.port}=9999999999.{'a' * 43}") == 401
    assert request(lan, trusting, "GET", "/overlay.mjpeg").status == 401
    assert request(lan, trusting, "GET", "/").status == 200


def test_a_wrong_a_used_and_an_old_token_are_refused(lan: Door, pairing: Pairing, clock: Clock, trusting: ssl.SSLContext) -> None:
    used, old = pairing.invite().token, pairing.invite().token
    hand_in(lan, trusting, used)
    clock.ahead = INVITATION_SECONDS * 1_000_000_000

    assert [hand_in(lan, trusting, token).status for token in ("wrong", used, old)] == [403] * 3
    assert hand_in(lan, trusting, pairing.invite().token).status == 204


def test_a_page_of_another_site_hands_in_no_token(lan: Door, pairing: Pairing, trusting: ssl.SSLContext) -> None:
    body = json.dumps({"token": pairing.invite().token})

    assert request(lan, trusting, "POST", "/pair", body, Origin="https://evil.example").status == 403
    assert request(lan, trusting, "POST", "/pair", body, Origin=lan.url.replace("https", "http")).status == 403
    assert request(lan, trusting, "POST", "/pair", body, Origin=lan.url).status == 204


@contextmanager
def knocked_at(room: Room, certificate: Certificate) -> Iterator[Door]:
    """A door of TLS, at which no test gets further than the handshake."""
    with served(lambda gate: guarded(room.site.application(), gate), tls=certificate.context()) as door:
        yield door


def test_who_speaks_no_tls_keeps_nobody_waiting(lan: Door, trusting: ssl.SSLContext) -> None:
    with connect(lan):
        assert b"HTTP" not in ask_raw(lan, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert request(lan, trusting, "GET", "/").status == 200


def test_a_handshake_has_a_deadline(room: Room, certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HANDSHAKE_SECONDS", 0.1)
    with knocked_at(room, certificate) as door, connect(door) as silent:
        assert everything(silent) == b""


def test_who_has_not_agreed_on_tls_counts_too(room: Room, certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "CONNECTIONS", 1)
    with knocked_at(room, certificate) as door, connect(door), connect(door), connect(door) as one_too_many:
        assert everything(one_too_many) == b""


def test_a_closing_door_cuts_who_has_not_agreed_on_tls(room: Room, certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HANDSHAKE_SECONDS", 600)
    with knocked_at(room, certificate) as door:
        silent = connect(door)
        assert request(door, trusting_in(certificate.path.parent), "GET", "/").status == 200, "the silent one came before"

    with silent:
        assert everything(silent) == b""


def test_a_closing_door_cuts_who_does_not_end_tls(room: Room, certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "FAREWELL_SECONDS", 600)
    with served(lambda gate: guarded(room.site.application(), gate), tls=certificate.context(), message_bytes=MESSAGE_BYTES) as door:
        silent = trusting_in(certificate.path.parent).wrap_socket(connect(door), server_hostname="127.0.0.1")
        say_hello(silent, door)
        wait_for(lambda: room.guests, "the page to be heard")

    with socket.socket(fileno=silent.detach()) as below:  # TLS ends with a word of the server: what is looked for is the end below it
        below.settimeout(PATIENCE)
        assert everything(below)


class Hosted:
    """The agent's doors, in an event loop of a thread."""

    def __init__(self, room: Room, folder: Path, lan: str) -> None:
        settings = XrSettings(port=0, lan=lan, lan_port=0)
        self.doors = Doors(settings, folder, room.welcome, endless, lambda: [Metric(name="xr_up", documentation="", values={(): 1})])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.doors.open(), self._loop).result(PATIENCE)

    def pair(self, forget: bool = False) -> xr.Pairing:
        return asyncio.run_coroutine_threadsafe(self.doors.pair(forget), self._loop).result(PATIENCE)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self.doors.close(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()


@contextmanager
def hosted(room: Room, folder: Path, lan: str = "127.0.0.1") -> Iterator[Hosted]:
    made = Hosted(room, folder, lan)
    try:
        yield made
    finally:
        made.close()


def trusting_in(folder: Path) -> ssl.SSLContext:
    """A client's, that trusts the certificate in a folder."""
    return ssl.create_default_context(cafile=str(folder / NAME))


def ask_lan(host: Hosted, folder: Path, method: str, path: str, body: str = "", **headers: str) -> http.client.HTTPResponse:
    """By a client that trusts the certificate of these doors."""
    assert host.doors.lan is not None
    authority = host.doors.lan.removeprefix("https://")
    connection = http.client.HTTPSConnection(authority, context=trusting_in(folder), timeout=PATIENCE)
    connection.request(method, path, body or None, {"Origin": host.doors.lan, **headers})
    return connection.getresponse()


def paired(host: Hosted, folder: Path) -> str:
    """A cookie, got by the address of a QR code."""
    token = host.pair().url.partition("/#pair=")[2]
    return cookie_of(ask_lan(host, folder, "POST", "/pair", json.dumps({"token": token})))


def renamed(cookie: str, host: Hosted) -> str:
    """A browser's cookie of this name, also where a test's door has another port than before."""
    assert host.doors.lan is not None
    return f"__Host-xr-{host.doors.lan.rpartition(':')[2]}={cookie.partition('=')[2]}"


def test_who_was_paired_is_when_the_agent_starts_anew_until_it_is_forgotten(room: Room, tmp_path: Path) -> None:
    folder = tmp_path / "door"
    with hosted(room, folder) as host:
        cookie, fingerprint = paired(host, folder), host.doors.fingerprint

    with hosted(room, folder) as again:
        assert again.doors.fingerprint == fingerprint
        assert ask_lan(again, folder, "GET", "/metrics", Cookie=renamed(cookie, again)).status == 200
        again.pair(forget=True)
        assert ask_lan(again, folder, "GET", "/metrics", Cookie=renamed(cookie, again)).status == 401


def test_who_is_forgotten_is_cut_off(room: Room, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "door"
    with hosted(room, folder) as host:
        cookie = paired(host, folder)
        pictures = ask_lan(host, folder, "GET", "/overlay.mjpeg", Cookie=cookie)
        assert pictures.read(100_000)
        host.pair(forget=True)
        while pictures.read(100_000):
            pass

    assert "error" not in "".join(capfd.readouterr()).lower()


def test_a_stream_of_who_is_forgotten_is_cut(room: Room, tmp_path: Path) -> None:
    folder = tmp_path / "door"
    with hosted(room, folder) as host:
        cookie = paired(host, folder)
        assert host.doors.lan is not None
        with open_page_socket(stream_of(host.doors.lan), trusting_in(folder), cookie=cookie) as connected:
            connected.send(HELLO)
            assert answers(connected)
            host.pair(forget=True)
            with pytest.raises(ConnectionClosed):
                connected.recv()

    assert room.guests[0].reasons == ["the agent has cut the connection"]


def test_a_pairing_shows_all_that_a_person_needs(room: Room, tmp_path: Path) -> None:
    with hosted(room, tmp_path / "door") as host:
        pairing = host.pair()

        assert pairing.url.startswith(f"{host.doors.lan}/#pair=")
        assert pairing.fingerprint == host.doors.fingerprint and len(pairing.qr) > 10
        assert pairing.expires > time.time_ns()


def test_without_a_setting_nobody_gets_here_from_the_lan(room: Room, tmp_path: Path) -> None:
    with hosted(room, tmp_path / "door", lan="") as host:
        assert (host.doors.lan, host.doors.fingerprint) == (None, None)
        assert host.doors.page is not None and host.doors.page.startswith("http://127.0.0.1:")
        with pytest.raises(NoLan, match=r"set xr\.lan"):
            host.pair()
        assert not (tmp_path / "door").exists()


def test_pages_are_told_when_the_agent_ends(room: Room, tmp_path: Path) -> None:
    host = Hosted(room, tmp_path / "door", lan="")
    assert host.doors.page is not None
    with open_page_socket(stream_of(host.doors.page)) as connected:
        connected.send(HELLO)
        assert answers(connected)
        host.close()
        assert closed_with(connected)[0] == 1012

    assert room.guests[0].reasons == ["the agent ends"]
