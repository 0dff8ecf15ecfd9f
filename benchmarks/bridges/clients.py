"""Ways to move an actor over Remote Control: each moves for some seconds, and says how many moves were answered and how long that took."""

from __future__ import annotations

import asyncio
import http.client
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, cycle, islice
from urllib.parse import urlsplit

import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from agents.parts.remote_control import SYSTEM, Batch, Call, Parameters, Request

CALL, BATCH = "/remote/object/call", "/remote/batch"
BATCHED = 100
IN_FLIGHT = 512
"""Messages that a pipelining client has sent and not yet seen answered, at most."""
BATCHES_IN_FLIGHT = 2
MADE = 10_000
"""Moves that a pipelining client has made beforehand; then they come again."""
TIMEOUT = 10.0


class Response(msgspec.Struct):
    """Of the answer to one request of a batch, what tells whether it was done."""

    ResponseCode: int


class Responses(msgspec.Struct):
    """The answer to a batch."""

    Responses: list[Response]


@dataclass(slots=True)
class Moved:
    """What one turn did: `moves` that were answered in `seconds`, and what each request took."""

    moves: int = 0
    seconds: float = 0.0
    round_trips: list[float] = field(default_factory=list)


def move(path: str, x: float, y: float) -> Call:
    """Put an actor there, in Unreal's centimetres, a metre above the floor."""
    rotation, scale = {"X": 0.0, "Y": 0.0, "Z": 0.0, "W": 1.0}, {"X": 1.0, "Y": 1.0, "Z": 1.0}
    transform = {"Rotation": rotation, "Translation": {"X": x, "Y": y, "Z": 100.0}, "Scale3D": scale}
    return Call(objectPath=path, functionName="K2_SetActorTransform", parameters={"NewTransform": transform, "bTeleport": True})


def moves(paths: list[str]) -> Iterator[Call]:
    """For ever, each time of another actor and to another place, where no two of them touch."""
    for number, (place, path) in zip(count(), cycle(enumerate(paths)), strict=False):
        yield move(path, place % 10 * 100.0 + number % 37, place // 10 * 100.0)


def http_message(request: Parameters) -> bytes:
    """A WebSocket message that carries an HTTP request."""
    return msgspec.json.encode({"MessageName": "http", "Parameters": request})


def batch(calls: list[Call]) -> Batch:
    return Batch(Requests=[Request(RequestId=n, URL=CALL, Verb="PUT", Body=call) for n, call in enumerate(calls)])


class HttpClient:
    """One connection that is kept open."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=TIMEOUT)

    def put(self, url: str, body: bytes) -> bytes:
        """Raises OSError, RuntimeError for another answer than 200."""
        self._connection.request("PUT", url, body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{url} was answered with {answer.status}: {content[:200]!r}")
        return content

    def open(self) -> None:
        """Begin a turn: the server closes what was idle between two."""
        self._connection.close()
        self._connection.connect()

    def one_by_one(self, paths: list[str], seconds: float) -> Moved:
        self.open()
        return timed(lambda call: self.put(CALL, msgspec.json.encode(call)), moves(paths), seconds)

    def batched(self, paths: list[str], seconds: float) -> Moved:
        wanted = moves(paths)
        self.open()

        def put_batch(first: Call) -> None:
            calls = [first, *(next(wanted) for _ in range(BATCHED - 1))]
            answers = msgspec.json.decode(self.put(BATCH, msgspec.json.encode(batch(calls))), type=Responses)
            check(answers.Responses, BATCHED)

        done = timed(put_batch, wanted, seconds)
        done.moves *= BATCHED
        return done


def check(answers: list[Response], wanted: int) -> None:
    """Raises RuntimeError where not all of a batch was answered with 200."""
    codes = [answer.ResponseCode for answer in answers]
    if codes != [200] * wanted:
        raise RuntimeError(f"a batch of {wanted} was answered with {codes[:5]}…")


def timed(act: Callable[[Call], object], wanted: Iterator[Call], seconds: float) -> Moved:
    done, began = Moved(), time.perf_counter()
    while (sent := time.perf_counter()) - began < seconds:
        act(next(wanted))
        done.round_trips.append(time.perf_counter() - sent)
    done.moves, done.seconds = len(done.round_trips), time.perf_counter() - began
    return done


class _Answers(WSListener):
    """Counts answers, and wakes who waits for one."""

    def __init__(self) -> None:
        self.sent: deque[float] = deque()
        self.round_trips: list[float] = []
        self.last = b""
        self.wake: asyncio.Event = asyncio.Event()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY):
            self.round_trips.append(time.perf_counter() - self.sent.popleft())
            self.last = frame.get_payload_as_bytes()
            self.wake.set()


@dataclass(slots=True)
class Socket:
    """A WebSocket to a server that answers in the order in which it is asked."""

    transport: WSTransport
    answers: _Answers
    _numbers: Iterator[int] = field(default_factory=count)

    def send(self, message: bytes) -> None:
        self.answers.sent.append(time.perf_counter())
        self.transport.send(WSMsgType.TEXT, message)

    async def answered(self, at_most: int) -> None:
        """Wait until at most so many are not answered. Raises TimeoutError."""
        while len(self.answers.sent) > at_most:
            self.answers.wake.clear()
            await asyncio.wait_for(self.answers.wake.wait(), TIMEOUT)

    async def ask(self, call: Call) -> bytes:
        self.send(message_of(call, next(self._numbers)))
        await self.answered(0)
        return self.answers.last


def message_of(call: Call, number: int) -> bytes:
    return http_message(Parameters(RequestId=number, Url=CALL, Verb="PUT", Body=call))


def by_socket(address: str, work: Callable[[Socket], Awaitable[Moved]]) -> Moved:
    """Open a WebSocket and work with it. Raises what the work raises, OSError, TimeoutError."""

    async def run() -> Moved:
        transport, answers = await ws_connect(_Answers, address)
        assert isinstance(answers, _Answers)
        try:
            return await work(Socket(transport, answers))
        finally:
            transport.disconnect()

    return asyncio.run(run())


async def one_by_one(socket: Socket, paths: list[str], seconds: float) -> Moved:
    began, wanted = time.perf_counter(), moves(paths)
    while time.perf_counter() - began < seconds:
        await socket.ask(next(wanted))
    return _moved(socket, began)


async def pipelined(socket: Socket, paths: list[str], seconds: float) -> Moved:
    """The messages are made beforehand: it is the server that is measured, and the client shares two cores with it."""
    return await _pipelined(socket, [message_of(call, n) for n, call in enumerate(islice(moves(paths), MADE))], IN_FLIGHT, seconds)


async def batches_pipelined(socket: Socket, paths: list[str], seconds: float) -> Moved:
    """As the bridge sends moves: some batches, each in one message, are out at a time."""
    wanted = moves(paths)
    bodies = [batch(list(islice(wanted, BATCHED))) for _ in range(MADE // BATCHED)]
    made = [http_message(Parameters(RequestId=n, Url=BATCH, Verb="PUT", Body=body)) for n, body in enumerate(bodies)]
    done = await _pipelined(socket, made, BATCHES_IN_FLIGHT, seconds)
    done.moves *= BATCHED
    return done


async def _pipelined(socket: Socket, made: list[bytes], in_flight: int, seconds: float) -> Moved:
    began, messages = time.perf_counter(), cycle(made)
    while time.perf_counter() - began < seconds:
        for message in islice(messages, in_flight // 2):
            socket.send(message)
        await socket.answered(in_flight // 2)
    await socket.answered(0)
    return _moved(socket, began)


async def until_drawn(socket: Socket, paths: list[str], seconds: float) -> Moved:
    """From sending a move to the first frame that has it: the count of frames is asked for until it is another one."""
    began, wanted, done = time.perf_counter(), moves(paths), Moved()
    while (sent := time.perf_counter()) - began < seconds:
        await socket.ask(next(wanted))
        await next_frame(socket)
        done.round_trips.append(time.perf_counter() - sent)
    done.moves, done.seconds = len(done.round_trips), time.perf_counter() - began
    return done


async def next_frame(socket: Socket) -> None:
    """Return when the engine has drawn one more frame."""
    first = await frame_count(socket)
    while await frame_count(socket) == first:
        continue


def _moved(socket: Socket, began: float) -> Moved:
    trips = socket.answers.round_trips
    return Moved(len(trips), time.perf_counter() - began, trips)


class _Returned(msgspec.Struct):
    ReturnValue: int


class _Answer(msgspec.Struct):
    ResponseBody: _Returned


async def frame_count(socket: Socket) -> int:
    answer = await socket.ask(Call(objectPath=SYSTEM, functionName="GetFrameCount"))
    return msgspec.json.decode(answer, type=_Answer).ResponseBody.ReturnValue
