"""The bridge's connections, against engines that answer late, never, in another order, wrongly or without end."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from picows import WSMsgType, WSTransport
from remote_engine import Request, answer_to, scripted, talking, tell

from agents.ue5.remote import websocket
from agents.ue5.remote.http import HttpWire
from agents.ue5.remote.websocket import open_websocket
from agents.ue5.remote.wire import ANSWER_LIMIT, Answer, BadAnswer, Late, Lost, Wire
from bus.testing import run

PATIENCE = 0.4


async def ask(wire: Wire, url: str = "/remote/info") -> Answer:
    return await wire.request("GET", url, b"")


def silent(request: Request, engine: WSTransport) -> None:
    """An engine that hangs."""


def test_answers_find_their_requests_in_whichever_order_they_come() -> None:
    waiting: list[Request] = []

    def backwards(request: Request, engine: WSTransport) -> None:
        waiting.append(request)
        if len(waiting) == 50:
            for each in reversed(waiting):
                tell(engine, answer_to(each, each["Url"]))

    async def body() -> list[Answer]:
        async with scripted(backwards) as url:
            wire = await open_websocket(url, None)
            try:
                return await asyncio.gather(*(ask(wire, f"/{number}") for number in range(50)))
            finally:
                await wire.close()

    assert [json.loads(each.body) for each in run(body())] == [f"/{number}" for number in range(50)]


def test_an_engine_that_never_answers_costs_the_deadline_and_not_the_connection() -> None:
    def second_only(request: Request, engine: WSTransport) -> None:
        if request["RequestId"] > 1:
            tell(engine, answer_to(request, "here"))

    async def body() -> Answer:
        async with scripted(second_only) as url:
            wire = await open_websocket(url, None, PATIENCE)
            try:
                with pytest.raises(Late):
                    await ask(wire)
                return await ask(wire)
            finally:
                await wire.close()

    assert run(body()).body == b'"here"'


def test_more_requests_than_may_be_out_wait_for_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "IN_FLIGHT", 2)
    out = most = 0

    def slowly(request: Request, engine: WSTransport) -> None:
        nonlocal out, most
        out += 1
        most = max(most, out)

        def answer() -> None:
            nonlocal out
            out -= 1
            tell(engine, answer_to(request, None))

        asyncio.get_running_loop().call_later(0.01, answer)

    async def body() -> int:
        async with scripted(slowly) as url:
            wire = await open_websocket(url, None)
            answers = await asyncio.gather(*(ask(wire) for _ in range(9)))
            await wire.close()
            return len(answers)

    assert (run(body()), most) == (9, 2)


@pytest.mark.parametrize(
    "noise", [b"{", b"\xff\xfe", b'{"RequestId": "one"}', b'{"RequestId": 99}', b'{"Type": "PresetFieldsChanged"}', b"[]", b"null"]
)
def test_a_message_that_answers_nothing_disturbs_nobody(noise: bytes) -> None:
    def noisy(request: Request, engine: WSTransport) -> None:
        tell(engine, noise)
        tell(engine, answer_to(request, "here"))

    async def body() -> Answer:
        async with scripted(noisy) as url:
            wire = await open_websocket(url, None, 5.0)
            try:
                return await ask(wire)
            finally:
                await wire.close()

    assert run(body()).body == b'"here"'


def test_an_answer_larger_than_is_read_ends_the_connection() -> None:
    async def body() -> str:
        async with scripted(lambda request, engine: tell(engine, b" " * (ANSWER_LIMIT + 1))) as url:
            wire = await open_websocket(url, None)
            with pytest.raises((Lost, BadAnswer)):
                await ask(wire)
            return await asyncio.wait_for(wire.ended, 5)

    assert run(body())


@pytest.mark.parametrize("kind", [WSMsgType.TEXT, WSMsgType.BINARY])
def test_an_answer_may_come_as_text_or_bytes_and_in_pieces(kind: WSMsgType) -> None:
    def cut(request: Request, engine: WSTransport) -> None:
        whole = answer_to(request, "in pieces")
        engine.send(kind, whole[:10], fin=False)
        engine.send(WSMsgType.CONTINUATION, whole[10:20], fin=False)
        engine.send(WSMsgType.CONTINUATION, whole[20:])

    async def body() -> Answer:
        async with scripted(cut) as url:
            wire = await open_websocket(url, None)
            try:
                return await ask(wire)
            finally:
                await wire.close()

    assert run(body()).body == b'"in pieces"'


def test_an_answer_in_pieces_without_end_ends_the_connection() -> None:
    def endless(request: Request, engine: WSTransport) -> None:
        engine.send(WSMsgType.TEXT, b"[", fin=False)
        for _ in range(6):
            engine.send(WSMsgType.CONTINUATION, b" " * (ANSWER_LIMIT // 4), fin=False)

    async def body() -> None:
        async with scripted(endless) as url:
            wire = await open_websocket(url, None)
            with pytest.raises(BadAnswer, match=str(ANSWER_LIMIT)):
                await ask(wire)

    run(body())


def test_who_waits_when_the_engine_goes_is_told_at_once() -> None:
    async def body() -> None:
        async with scripted(lambda request, engine: engine.disconnect(graceful=False)) as url:
            wire = await open_websocket(url, None, 60.0)
            with pytest.raises(Lost):
                await asyncio.wait_for(ask(wire), 5)
            with pytest.raises(Lost):
                await ask(wire)

    run(body())


def test_what_is_no_websocket_is_not_connected_to() -> None:
    async def body() -> None:
        async with talking(lambda read: b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") as port:
            with pytest.raises(Lost, match="no WebSocket"):
                await open_websocket(f"ws://127.0.0.1:{port}", None)

    run(body())


def respond(body: bytes, head: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


def over_http(answer: Callable[[bytes], bytes | None], body: Callable[[HttpWire], Awaitable[None]], patience: float = 5.0) -> None:
    """Do `body` over HTTP, against what answers so."""

    async def live() -> None:
        async with talking(answer) as port:
            wire = HttpWire("127.0.0.1", port, "open sesame", patience)
            try:
                await body(wire)
            finally:
                await wire.close()

    run(live())


def test_http_keeps_its_connection_and_tells_the_passphrase() -> None:
    seen: list[bytes] = []

    def remember(read: bytes) -> bytes:
        seen.append(read)
        return respond(b"1")

    async def body(wire: HttpWire) -> None:
        assert [(await ask(wire)).body for _ in range(3)] == [b"1"] * 3

    over_http(remember, body)
    assert len(seen) == 3
    assert all(b"Passphrase: open sesame\r\n" in each for each in seen)


def test_http_connects_again_where_the_server_ended_the_connection() -> None:
    """As Unreal's does, after each answer."""

    async def body() -> list[bytes]:
        async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(65536)
            writer.write(respond(b"2"))
            writer.close()

        server = await asyncio.start_server(once, "127.0.0.1", 0)
        wire = HttpWire("127.0.0.1", server.sockets[0].getsockname()[1], None)
        try:
            return [(await ask(wire)).body for _ in range(3)]
        finally:
            await wire.close()
            server.close()

    assert run(body()) == [b"2"] * 3


def test_http_that_never_answers_costs_the_deadline() -> None:
    async def body(wire: HttpWire) -> None:
        with pytest.raises(Late):
            await ask(wire)
        assert not wire.ended.done()

    over_http(lambda read: None, body, PATIENCE)


def test_http_that_answers_without_end_is_cut_off() -> None:
    async def body(wire: HttpWire) -> None:
        with pytest.raises(BadAnswer):
            await ask(wire)

    over_http(lambda read: respond(b" " * (ANSWER_LIMIT + 1)), body)


@pytest.mark.parametrize("noise", [b"hello\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 200 + b"\r\n"])
def test_what_is_no_http_ends_the_connection(noise: bytes) -> None:
    async def body(wire: HttpWire) -> None:
        with pytest.raises(Lost):
            await ask(wire)
        assert wire.ended.done()

    over_http(lambda read: noise, body)


def test_nobody_there_is_lost_at_once() -> None:
    async def body() -> None:
        wire = HttpWire("127.0.0.1", 1, None)
        with pytest.raises(Lost, match="no HTTP: Connection refused"):
            await ask(wire)
        await wire.close()

    run(body())


def test_a_port_that_takes_no_connection_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "CONNECT_SECONDS", PATIENCE)

    async def body() -> None:
        with full() as port, pytest.raises(Lost, match="TimeoutError"):
            async with asyncio.timeout(20):
                await open_websocket(f"ws://127.0.0.1:{port}", None)

    run(body())


@contextmanager
def full() -> Iterator[int]:
    """A port whose queue is full: who connects hears nothing, as behind a firewall."""
    with ExitStack() as opened:
        listening = opened.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        for _ in range(4):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port
