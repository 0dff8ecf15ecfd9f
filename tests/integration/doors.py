"""Serves an application at a real port, as an agent does: in an event loop that is somebody else's, here a thread's of the test."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agents.parts.http.asgi import App
from agents.parts.http.door import Door, open_door, open_paired_door
from agents.parts.http.gate import Gate
from agents.parts.http.serving import Serving

PATIENCE = 10.0


@contextmanager
def served(
    application: Callable[[Gate], App], token: str | None = None, tls: ssl.SSLContext | None = None, message_bytes: int | None = None
) -> Iterator[Door]:
    """The door, once it is open. At the end it is closed."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    door = open_door("127.0.0.1", 0, token) if tls is None else open_paired_door("127.0.0.1", 0, tls)
    serving = Serving(door, application(door.gate), message_bytes)
    asyncio.run_coroutine_threadsafe(serving.open(), loop).result(PATIENCE)
    try:
        yield door
    finally:
        asyncio.run_coroutine_threadsafe(serving.close(), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()


def connect(door: Door) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", door.gate.port), timeout=PATIENCE)
    made.settimeout(PATIENCE)
    return made


def everything(connection: socket.socket) -> bytes:
    """What the server says until it closes the connection."""
    said = b""
    while part := connection.recv(65536):
        said += part
    return said


def ask_raw(door: Door, request: bytes) -> bytes:
    """What is answered to bytes."""
    with connect(door) as connection:
        connection.sendall(request)
        return everything(connection)
