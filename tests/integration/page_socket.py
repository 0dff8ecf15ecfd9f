"""A page's WebSocket that reads and writes in its test's own thread.

`websockets.sync` reads in another one, but OpenSSL lets no two threads at one connection: there, what a server says is lost now and then.
"""

from __future__ import annotations

import socket
import ssl
from collections import deque
from contextlib import suppress

from doors import PATIENCE
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri


class PageSocket:
    """An open one. At the end of its `with` it is closed, and waits for the server to do so too."""

    def __init__(self, connection: socket.socket, protocol: ClientProtocol) -> None:
        self._connection, self._protocol = connection, protocol
        self._messages: deque[bytes] = deque()

    def __enter__(self) -> PageSocket:
        return self

    def __exit__(self, *error: object) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1000)
            self._flush()
        while self._protocol.state is not State.CLOSED:
            self._read()
        self._connection.close()

    def open(self, headers: dict[str, str]) -> None:
        """Raises InvalidStatus."""
        request = self._protocol.connect()
        request.headers.update(headers)
        self._protocol.send_request(request)
        self._flush()
        while self._protocol.state is State.CONNECTING and self._protocol.handshake_exc is None:
            self._read()
        if self._protocol.handshake_exc is not None:
            self._connection.close()
            raise self._protocol.handshake_exc

    def send(self, message: str | bytes) -> None:
        """Text, or bytes."""
        if isinstance(message, str):
            self.send_text(message.encode())
        else:
            self._protocol.send_binary(message)
            self._flush()

    def send_text(self, data: bytes) -> None:
        """Bytes that are said to be text."""
        self._protocol.send_text(data)
        self._flush()

    def recv(self) -> bytes:
        """The next message. Raises ConnectionClosed."""
        while not self._messages:
            if self._protocol.state is State.CLOSED:
                raise self._protocol.close_exc
            self._read()
        return self._messages.popleft()

    def _read(self) -> None:
        try:
            data = self._connection.recv(65536)
        except ConnectionError:
            data = b""
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        self._flush()
        frames = [event for event in self._protocol.events_received() if isinstance(event, Frame)]
        self._messages.extend(bytes(frame.data) for frame in frames if frame.opcode is Opcode.BINARY)

    def _flush(self) -> None:
        with suppress(ConnectionError, ssl.SSLError):  # what is read next says that the server has gone
            self._connection.sendall(b"".join(self._protocol.data_to_send()))


def open_page_socket(url: str, trusting: ssl.SSLContext | None = None, origin: str | None = None, cookie: str = "") -> PageSocket:
    """Raises InvalidStatus."""
    uri = parse_uri(url)
    connection = socket.create_connection((uri.host, uri.port), timeout=PATIENCE)
    if trusting is not None:
        connection = trusting.wrap_socket(connection, server_hostname=uri.host)
    page = PageSocket(connection, ClientProtocol(uri, origin=origin))  # type: ignore[arg-type]  # a NewType of str
    page.open({"Cookie": cookie} if cookie else {})
    return page
