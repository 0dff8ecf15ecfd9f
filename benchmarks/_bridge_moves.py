"""What a move costs, by how it is sent: over HTTP, over a WebSocket, and as an event of the bus."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import msgspec
from upyrc import upyrc

from agents.parts.remote_control import ACTORS, Call
from benchmarks._appliance import Running
from benchmarks._figures import percentile
from benchmarks._processes import Stage
from benchmarks._results import Figures
from benchmarks.bridges import clients
from benchmarks.bridges.clients import HttpClient, Moved, Socket, by_socket
from bus.client import Client
from schemas import engine, scene, ue5

HTTP, HTTP_BATCH, UPYRC = "HTTP, one by one", "HTTP, batch of 100", "HTTP, upyrc"
SOCKET, PIPELINED, BATCHES = "WebSocket, one by one", "WebSocket, pipelined", "WebSocket, batches of 100, pipelined"
DRAWN = "WebSocket, until it is drawn"
PEER, PEER_PIPELINED = "websockets + json, one by one", "websockets + json, pipelined"
EVENT = "bus event, until the engine has it"
EVENT_DRAWN = "bus event, until it is drawn"

Way = Callable[[float], Moved]


@dataclass(slots=True)
class Turn:
    """One way in one round: what it did, and the engine's frames a second meanwhile."""

    way: str
    moved: Moved
    rates: list[float]


@contextmanager
def ways(running: Running, opened: Stage) -> Iterator[dict[str, Way]]:
    """Everybody who moves actors of the engine that runs, and of the peer. Raises ChildFailed, BusError, OSError."""
    serving = running.client.call(engine.STATUS, timeout=20).serving
    peer = opened.start("peer", [sys.executable, "-m", "benchmarks.bridges.websockets_server"], {}, speaks=True)
    address = peer.read(str, 20)
    http = HttpClient(serving.http)
    paths = _actors(http)
    yield {
        HTTP: partial(http.one_by_one, paths),
        UPYRC: partial(_by_upyrc, serving.http, paths),
        HTTP_BATCH: partial(http.batched, paths),
        SOCKET: partial(_over, serving.websocket, clients.one_by_one, paths),
        PIPELINED: partial(_over, serving.websocket, clients.pipelined, paths),
        BATCHES: partial(_over, serving.websocket, clients.batches_pipelined, paths),
        DRAWN: partial(_over, serving.websocket, clients.until_drawn, paths),
        PEER: partial(_over, address, clients.one_by_one, paths),
        PEER_PIPELINED: partial(_over, address, clients.pipelined, paths),
    }


def event_ways(running: Running) -> dict[str, Way]:
    """The way from an event of the bus through the bridge. Raises BusError."""
    serving = running.client.call(engine.STATUS, timeout=20).serving
    spawned = running.client.call(ue5.SPAWN, ue5.Spawn(label="probe"), timeout=20)  # physics does not know it: it stays where it is put
    work = partial(_events, running.client, spawned.label, spawned.path)
    return {
        EVENT: partial(_over, serving.websocket, partial(work, False)),
        EVENT_DRAWN: partial(_over, serving.websocket, partial(work, True)),
    }


def move_in_turns(running: Running, taking: dict[str, Way], rounds: int, seconds: float) -> list[Turn]:
    """Raises what a way raises."""
    turns = []
    for _ in range(rounds):
        for name, way in taking.items():
            began = time.time()
            moved = way(seconds)
            past = running.client.events(engine.FRAME, since=time.time() - began, timeout=0.5)
            turns.append(Turn(name, moved, [event.data.rate for event in past]))
    return turns


def rows(turns: Sequence[Turn]) -> list[Figures]:
    """A row for each way: medians of the rounds, and the moves of each over those of HTTP one by one."""
    names = list(dict.fromkeys(turn.way for turn in turns))
    rates = {name: statistics.median(turn.moved.moves / turn.moved.seconds for turn in turns if turn.way == name) for name in names}
    return [
        {
            "way": name,
            "moves/s": rates[name],
            "ratio": rates[name] / rates[HTTP] if HTTP in rates else None,
            "p50, ms": _percentile(turns, name, 0.5),
            "p99, ms": _percentile(turns, name, 0.99),
            "frames/s meanwhile": _frames(turns, name),
        }
        for name in names
    ]


def _percentile(turns: Sequence[Turn], name: str, share: float) -> float:
    return statistics.median(percentile(turn.moved.round_trips, share) for turn in turns if turn.way == name) * 1000


def _frames(turns: Sequence[Turn], name: str) -> float | None:
    rates = [rate for turn in turns if turn.way == name for rate in turn.rates]
    return statistics.median(rates) if rates else None


class _Paths(msgspec.Struct):
    ReturnValue: list[str]


class _Translation(msgspec.Struct):
    X: float
    Y: float
    Z: float


class _Transform(msgspec.Struct):
    Translation: _Translation


class _Placed(msgspec.Struct):
    ReturnValue: _Transform


class _PlacedAnswer(msgspec.Struct):
    ResponseBody: _Placed


def _actors(http: HttpClient) -> list[str]:
    """A hundred bodies of the level."""
    answer = http.put(clients.CALL, msgspec.json.encode(Call(objectPath=ACTORS, functionName="GetAllLevelActors")))
    found = msgspec.json.decode(answer, type=_Paths).ReturnValue
    return [path for path in found if ".StaticMeshActor_" in path][-100:]


def _over(address: str, work: Callable[..., object], *arguments: object) -> Moved:
    *first, seconds = arguments
    return by_socket(address, lambda socket: work(socket, *first, seconds))  # type: ignore[arg-type, return-value]  # one of the module's


def _by_upyrc(address: str, paths: list[str], seconds: float) -> Moved:
    host, _, port = address.removeprefix("http://").partition(":")
    connection = upyrc.URConnection(host, int(port), generate_transaction=False)

    def call(wanted: Call) -> object:
        return connection.run_request(upyrc.ROUTE_FUNC_CALL, msgspec.to_builtins(wanted))

    return clients.timed(call, clients.moves(paths), seconds)


async def _events(client: Client, label: str, path: str, drawn: bool, socket: Socket, seconds: float) -> Moved:
    """From publishing a pose to when the engine says that the actor is there, or has drawn it there."""
    began, done, x = time.perf_counter(), Moved(), 0.0
    while (sent := time.perf_counter()) - began < seconds:
        x += 0.01
        client.publish(scene.ACTOR_POSE, scene.ActorPoses(actors=[scene.Placed(actor=label, position=(x, 3.0, 0.0))]))
        while not abs(await _placed(socket, path) - x * 100) < 1e-6:
            if time.perf_counter() - sent > clients.TIMEOUT:
                raise TimeoutError(f"{label} was not moved: bus call {ue5.STATUS.name}")
        if drawn:
            await clients.next_frame(socket)
        done.round_trips.append(time.perf_counter() - sent)
    done.moves, done.seconds = len(done.round_trips), time.perf_counter() - began
    return done


async def _placed(socket: Socket, path: str) -> float:
    """Where the actor is, along Unreal's Y, which is the bus's X."""
    answer = await socket.ask(Call(objectPath=path, functionName="GetTransform"))
    return msgspec.json.decode(answer, type=_PlacedAnswer).ResponseBody.ReturnValue.Translation.Y
