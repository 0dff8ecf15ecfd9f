"""An application behind a guard sees whole requests of bounded size, from who may ask; others get an error in its own words."""

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from asgi import HOST, Client, ask, scope
from hypothesis import given
from hypothesis import strategies as st

from agents.parts.http import guard
from agents.parts.http.asgi import Message, Receive, Scope, Send
from agents.parts.http.gate import Gate, Proof
from agents.parts.http.guard import Guard
from agents.parts.http.presence import ClientLeft, while_present

GATE = Gate(address=ip_address("127.0.0.1"), port=8000)
FOREIGN = (("Host", HOST), ("Origin", "http://evil.example"))


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what came, part by part."""
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": repr((message["body"], message["more_body"])).encode()})


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("broken")


async def fails_later(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError("broken")


async def accepts(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.accept"})


def error(status: int, message: str) -> bytes:
    return f'{{"wrong": "{status} {message}"}}'.encode()


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"BODY_SECONDS": 0.02, "LINGER_SECONDS": 0.02}.items():
        monkeypatch.setattr(guard, name, value)


GUARDED = Guard(echo, GATE, error, body_limit=10)


@given(st.lists(st.binary(max_size=4), min_size=1, max_size=5))
def test_a_body_comes_whole_up_to_its_limit(parts: list[bytes]) -> None:
    body = b"".join(parts)

    reply = ask(GUARDED, {"parts": parts})

    assert (reply.status, reply.body) == (200, repr((body, False)).encode()) if len(body) <= 10 else reply.status == 413


@pytest.mark.parametrize("length", ["11", "9" * 5000])
def test_a_body_that_says_to_be_too_long_is_not_waited_for(length: str) -> None:
    reply = ask(GUARDED, {"parts": ()}, headers=(("Host", HOST), ("Content-Length", length)))

    assert (reply.status, reply.body) == (413, b'{"wrong": "413 at most 10 bytes of a request are read"}')
    assert reply.headers["connection"] == "close"


@pytest.mark.parametrize("length", ["", "-1", "1e3", "²"])
def test_a_length_is_a_number(length: str) -> None:
    assert ask(GUARDED, headers=(("Host", HOST), ("Content-Length", length))).status == 400


def test_a_body_without_an_end_is_cut_at_the_limit() -> None:
    assert ask(GUARDED, {"parts": [b"abcd"] * 3, "whole": False}).status == 413


def test_a_body_that_does_not_come_is_given_up() -> None:
    reply = ask(GUARDED, {"parts": [b"abc"], "whole": False})

    assert (reply.status, reply.ended) == (408, True)


def test_nobody_is_answered_who_leaves_within_a_body() -> None:
    assert ask(GUARDED, {"parts": [b"abc"], "whole": False, "leaves_after": 0}).messages == []


def test_who_is_refused_reads_why_while_it_still_sends() -> None:
    reply = ask(GUARDED, {"parts": [b"abcd"] * 30}, headers=FOREIGN)

    assert (reply.status, reply.body, reply.ended) == (403, b'{"wrong": "403 pages of \'http://evil.example\' may not ask here"}', True)


def test_a_token_is_asked_for() -> None:
    guarded = Guard(echo, Gate(address=GATE.address, port=8000, token="0123456789abcdef"), error)

    reply = ask(guarded)

    assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
    assert ask(guarded, headers=(("Host", HOST), ("Authorization", "Bearer 0123456789abcdef"))).status == 200


def test_who_lacks_another_proof_is_told_that_one() -> None:
    proof = Proof("passphrase", b"passphrase", "", "Passphrase: YOURS")
    guarded = Guard(echo, Gate(address=GATE.address, port=8000, token="0123456789abcdef", proof=proof), error)

    assert ask(guarded).headers["www-authenticate"] == "Passphrase"


def test_a_failure_is_answered_without_its_words() -> None:
    reply = ask(Guard(fails, GATE, error))

    assert reply.status == 500
    assert b"broken" not in reply.body


def test_a_failure_within_an_answer_reaches_the_server() -> None:
    with pytest.raises(RuntimeError, match="broken"):
        ask(Guard(fails_later, GATE, error))


def websocket(headers: Sequence[tuple[str, str]]) -> Message:
    """What a guard says first to a WebSocket that wants to open."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Guard(accepts, GATE, error)(scope("websocket", headers=headers), receive, send))
    return sent[0]


def test_a_websocket_of_another_page_is_refused() -> None:
    assert (websocket(FOREIGN)["type"], websocket(FOREIGN)["status"]) == ("websocket.http.response.start", 403)
    assert websocket((("Host", "evil.example"),))["status"] == 421
    assert websocket((("Host", HOST), ("Origin", f"http://{HOST}"))) == {"type": "websocket.accept"}


def test_work_ends_with_its_client() -> None:
    ended: list[str] = []

    async def work() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("work")
        return "done"

    async def leave() -> None:
        with pytest.raises(ClientLeft):
            await while_present(Client(leaves_after=0).receive, work())

    asyncio.run(leave())
    assert ended == ["work"]


def test_work_is_done_for_a_client_that_stays() -> None:
    async def work() -> str:
        return "done"

    assert asyncio.run(stay(work())) == "done"


async def stay(work: asyncio.Future[str]) -> str:
    return await while_present(Client().receive, work)
