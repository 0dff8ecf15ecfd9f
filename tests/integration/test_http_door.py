"""A door keeps its deadlines and its bounds whatever a client does, and closes when its agent ends."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from conftest import wait_for
from doors import ask_raw, connect, everything, served

from agents.parts.http import connection as connection_module
from agents.parts.http import guard
from agents.parts.http import serving as module
from agents.parts.http.asgi import App, Receive, Scope, Send
from agents.parts.http.door import BadDoor, Door, open_door
from agents.parts.http.gate import Gate
from agents.parts.http.guard import Guard
from agents.parts.http.presence import ClientLeft, while_present
from agents.parts.http.serving import Serving


def error(status: int, message: str) -> bytes:
    return b'{"wrong": "%d"}' % status


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    body = b"hello " + (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


class Endless:
    """Answers without an end, and knows when that has begun and ended."""

    def __init__(self) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        try:
            with suppress(ClientLeft):
                await while_present(receive, self._talk(send))
        finally:
            self.ended.set()

    async def _talk(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": bytes(1 << 16), "more_body": True})
            self.begun.set()
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "LINGER_SECONDS", 0.1)


def guarded(app: App) -> Callable[[Gate], App]:
    return lambda gate: Guard(app, gate, error, body_limit=1000)


def request(door: Door, *lines: str, method: str = "POST", body: bytes = b"") -> bytes:
    """Bytes of a request whose connection closes behind it."""
    head = [f"{method} / HTTP/1.1", f"Host: {door.gate.authority}", "Connection: close", *lines, "", ""]
    return "\r\n".join(head).encode() + body


def status(answer: bytes) -> int:
    return int(answer.split()[1])


def test_a_request_is_answered() -> None:
    with served(guarded(hello)) as door:
        answer = ask_raw(door, request(door, "Content-Length: 3", body=b"you"))

    assert (status(answer), answer.endswith(b"hello you")) == (200, True)
    assert b"server: uvicorn" not in answer.lower()


def test_no_part_of_an_answer_waits_for_an_acknowledgement(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    class Seen(module.Connection):
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            seen.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(module, "Connection", Seen)
    with served(guarded(hello)) as door:
        ask_raw(door, request(door))

    assert seen == [1]


def test_a_taken_port_yields_another_one() -> None:
    with served(guarded(hello)) as door:
        other = open_door("127.0.0.1", door.gate.port)
        assert other.gate.port != door.gate.port
        assert other.url == f"http://127.0.0.1:{other.gate.port}"
        other.socket.close()


def test_a_port_that_may_not_be_had_is_an_error() -> None:
    with pytest.raises(BadDoor, match=r"nothing can listen at 192\.0\.2\.1"):
        open_door("192.0.2.1", 0, "0123456789abcdef")  # an address of documentation, which no machine has


def test_who_names_an_address_of_another_machine_is_told_which_one_stands_for_all() -> None:
    with pytest.raises(BadDoor, match=r"take an address of this machine, or 0\.0\.0\.0 for all of them"):
        open_door("192.0.2.1", 0, "0123456789abcdef")


ELSEWHERE = [
    "GET / HTTP/1.0",
    "GET / HTTP/1.1\r\nHost: evil.example",
    "GET / HTTP/1.1\r\nHost: localhost:1",
    "GET http://evil.example/ HTTP/1.1\r\nHost: evil.example",
]
NO_REQUESTS = [b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000]
"""A handshake of TLS, a request without a host, and headers beyond their bound."""


@pytest.mark.parametrize("head", ELSEWHERE)
def test_who_asks_for_another_server_is_refused(head: str) -> None:
    with served(guarded(hello)) as door:
        answer = ask_raw(door, f"{head}\r\n\r\n".encode())

    assert (status(answer), answer.endswith(b'{"wrong": "421"}')) == (421, True)


def test_a_body_beyond_its_limit_is_refused_while_it_is_sent() -> None:
    with served(guarded(hello)) as door, connect(door) as connection:
        connection.sendall(request(door, "Transfer-Encoding: chunked"))
        with suppress(OSError):  # the connection is closed at some time
            for _ in range(100):
                connection.sendall(b"400\r\n" + bytes(1024) + b"\r\n")
        answer = everything(connection)

    assert (status(answer), answer.endswith(b'{"wrong": "413"}')) == (413, True)


def test_nobody_is_told_to_go_on_with_a_body_that_is_too_long() -> None:
    with served(guarded(hello)) as door:
        answer = ask_raw(door, request(door, "Content-Length: 1001", "Expect: 100-continue"))

    assert status(answer) == 413


def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.1)
    with served(guarded(hello)) as door:
        answer = ask_raw(door, request(door, "Content-Length: 10", body=b"abc"))

    assert status(answer) == 408


@pytest.mark.parametrize("said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: local"])
def test_a_request_that_does_not_come_is_given_up(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "HEAD_SECONDS", 0.1)
    with served(guarded(hello)) as door, connect(door) as connection:
        connection.sendall(said)
        with suppress(ConnectionResetError):
            assert everything(connection) == b""


def test_the_second_request_of_a_connection_must_come_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "HEAD_SECONDS", 0.1)
    with served(guarded(hello)) as door, connect(door) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {door.gate.authority}\r\n\r\n".encode())
        assert status(connection.recv(65536)) == 200
        connection.sendall(b"GET /")
        with suppress(ConnectionResetError):
            everything(connection)


@pytest.mark.parametrize("said", NO_REQUESTS)
def test_what_is_no_request_is_refused(said: bytes) -> None:
    with served(guarded(hello)) as door:
        assert status(ask_raw(door, said)) == 400


@pytest.mark.parametrize("size", [17_000, 60_000])
def test_a_head_beyond_its_bound_is_refused_also_where_it_comes_at_once(size: int) -> None:
    with served(guarded(hello)) as door:
        assert status(ask_raw(door, request(door, "X: " + "a" * size))) in (400, 431)  # 400 where it came in pieces


def test_two_requests_at_once_on_one_connection_are_both_answered() -> None:
    with served(guarded(hello)) as door:
        first = request(door, "Content-Length: 3", body=b"one").replace(b"Connection: close\r\n", b"")
        answers = ask_raw(door, first + request(door, "Content-Length: 3", body=b"two"))

    assert (answers.count(b"HTTP/1.1 200"), b"hello one" in answers, answers.endswith(b"hello two")) == (2, True, True)


def test_one_client_too_many_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTIONS", 2)
    with served(guarded(hello)) as door, connect(door):
        wait_for(lambda: status(ask_raw(door, request(door))) == 503, "the silent connection to count")
        with connect(door), connect(door), connect(door):  # with the silent one twice as many as may be
            wait_for(lambda: is_cut(door), "further connections to be cut")


def is_cut(door: Door) -> bool:
    """Whether a connection is closed without a word."""
    with connect(door) as connection:
        try:
            connection.sendall(request(door))
            return everything(connection) == b""
        except ConnectionError:
            return True


def test_a_client_that_does_not_read_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "READ_SECONDS", 0.1)
    endless = Endless()
    with served(guarded(endless)) as door, connect(door) as connection:
        connection.sendall(request(door))
        assert endless.begun.wait(10)
        assert endless.ended.wait(10)


def test_a_client_that_leaves_ends_its_answer() -> None:
    endless = Endless()
    with served(guarded(endless)) as door:
        with connect(door) as connection:
            connection.sendall(request(door))
            assert endless.begun.wait(10)
        assert endless.ended.wait(10)


@pytest.mark.parametrize("reading", [False, True])
def test_a_door_closes_while_it_still_answers(reading: bool, capfd: pytest.CaptureFixture[str]) -> None:
    endless, received = Endless(), bytearray()

    def read(connection: socket.socket) -> None:
        with suppress(OSError):
            received.extend(everything(connection))

    with served(guarded(endless)) as door:
        connection = connect(door)
        connection.sendall(request(door))
        assert endless.begun.wait(10)
        reader = threading.Thread(target=read, args=(connection,))
        if reading:
            reader.start()
    assert endless.ended.is_set()
    connection.close()
    with pytest.raises(OSError):
        connect(door)
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_door_closes_although_an_application_does_not_end() -> None:
    assert asyncio.run(closes_beside_a_deaf_one())


async def closes_beside_a_deaf_one() -> bool:
    begun, released = asyncio.Event(), asyncio.Event()

    async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        while not released.is_set():
            with suppress(asyncio.CancelledError):
                await released.wait()

    door = open_door("127.0.0.1", 0)
    serving = Serving(door, deaf)
    await serving.open()
    _, writer = await asyncio.open_connection("127.0.0.1", door.gate.port)
    writer.write(request(door))
    await begun.wait()
    closed, _ = await asyncio.wait([asyncio.create_task(serving.close())], timeout=10)
    released.set()
    writer.close()
    return bool(closed)


def test_a_door_that_was_never_opened_closes() -> None:
    door = open_door("127.0.0.1", 0)

    asyncio.run(Serving(door, hello).close())

    with pytest.raises(ConnectionRefusedError):
        connect(door)


def test_signals_stay_the_agents() -> None:
    before, inside = handlers(), asyncio.run(handlers_while_serving())

    assert inside == before


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]  # asyncio.run itself has SIGINT


async def handlers_while_serving() -> list[object]:
    serving = Serving(open_door("127.0.0.1", 0), hello)
    await serving.open()
    await asyncio.sleep(0)  # the server's first steps
    inside = handlers()
    await serving.close()
    return inside
