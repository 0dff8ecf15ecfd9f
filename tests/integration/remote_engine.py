"""Engines for the bridge to drive, at real ports: the embedded one's server over a bare level, and one that says what a test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from agents.engine.remote.context import Context
from agents.engine.remote.remote import Remote
from agents.engine.remote.server import RemoteServer
from agents.engine.world import Box, Looks, Optics, Shine, Transform, World
from agents.ue5.connection.discovery import Address

CUBE = "/Engine/BasicShapes/Cube.Cube"
STOP_SECONDS = 5.0


@dataclass
class Drawing:
    """A renderer that draws one picture, the same each time."""

    picture: bytes = b""
    version: str = "embedded-panda3d 1.10.16"
    asked: list[tuple[str | None, int, int]] = field(default_factory=list)

    def shoot(self, camera: str | None, width: int, height: int, file: Path) -> None:
        self.asked.append((camera, width, height))
        file.write_bytes(self.picture)

    def bounds(self, mesh: str) -> Box | None:
        return None


def furnished(cubes: int = 3) -> World:
    """A level with a camera, a lamp and some cubes."""
    world = World()
    world.spawn("CameraActor", Transform(), Looks(optics=Optics()), "main")
    world.spawn("PointLight", Transform(), Looks(shine=Shine()), "lamp")
    for number in range(cubes):
        world.spawn("StaticMeshActor", Transform(), Looks(mesh=CUBE), f"cube{number}")
    return world


@contextmanager
def serving(
    world: World, artifacts: Path, studio: Drawing | None = None, at: Address | None = None, secret: str | None = None
) -> Iterator[Address]:
    """Remote Control of the level, at free ports or, a second time, at the same ones."""
    shots = artifacts / "wondercraft" / "bridge" / "shots"
    remote = Remote(Context(world, studio or Drawing(), shots))
    server = RemoteServer(remote, "127.0.0.1", at.http if at else 0, at.websocket if at else 0, secret)
    addresses = server.start()
    try:
        yield Address("127.0.0.1", *(int(each.rpartition(":")[2]) for each in (addresses.http, addresses.websocket)))
    finally:
        server.stop(STOP_SECONDS)


Request = dict[str, Any]  # Any: JSON
Say = Callable[[Request, WSTransport], None]
"""What a scripted engine does with a request: it may answer as often as it likes, now or later."""


@asynccontextmanager
async def scripted(say: Say) -> AsyncIterator[str]:
    """A WebSocket whose messages a test writes by hand."""

    class Listener(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type is WSMsgType.TEXT:
                say(json.loads(frame.get_payload_as_bytes())["Parameters"], transport)

    def accept(request: WSUpgradeRequest) -> Listener:
        return Listener()

    server = await ws_create_server(accept, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@asynccontextmanager
async def talking(answer: Callable[[bytes], bytes | None]) -> AsyncIterator[int]:
    """A TCP server that answers what it has read by bytes, None: never. Yields its port."""
    ending = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not ending.is_set() and (read := await reader.read(65536)):
            said = answer(read)
            if said is None:
                await ending.wait()
            else:
                writer.write(said)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        ending.set()
        server.close()


def answer_to(request: Request, body: object) -> bytes:
    return json.dumps({"RequestId": request["RequestId"], "ResponseCode": 200, "ResponseBody": body}).encode()


def tell(transport: WSTransport, message: bytes) -> None:
    """Send a message as Unreal does, in a binary frame."""
    transport.send(WSMsgType.BINARY, message)
