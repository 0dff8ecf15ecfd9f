"""A listening socket that bounds how many connections there are, also of those that have asked for nothing yet.

Neither picows nor uvicorn counts a connection before its handshake is over: the socket is the one place that all of them pass.
"""

from __future__ import annotations

import socket
from contextlib import suppress


class Bounded(socket.socket):
    """Takes over another listening socket. Of its connections at most `most` are open at once: it closes those that come beyond."""

    def __init__(self, listening: socket.socket, most: int) -> None:
        super().__init__(fileno=listening.detach())
        self._most = most
        self._open: list[socket.socket] = []

    def accept(self) -> tuple[socket.socket, object]:
        """Raises ConnectionAbortedError for one too many, which event loops pass over."""
        connection, address = super().accept()
        self._open = [each for each in self._open if each.fileno() >= 0]
        if len(self._open) >= self._most:
            connection.close()
            raise ConnectionAbortedError(f"there are {self._most} connections already")
        self._open.append(connection)
        return connection, address

    def cut(self) -> None:
        """End all connections, whatever who serves them waits for: asyncio cuts none whose TLS has not begun, or is asked to end."""
        for connection in self._open:
            with suppress(OSError):  # it has ended by itself
                connection.shutdown(socket.SHUT_RDWR)
