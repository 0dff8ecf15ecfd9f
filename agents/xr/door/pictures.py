"""The overlay's pictures, each a part of one answer that goes on: multipart/x-mixed-replace, which browsers show as it comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress

from agents.parts.http.asgi import Receive, Scope, Send
from agents.parts.http.presence import ClientLeft, while_present
from agents.xr.door.answers import refused

VIEWERS = 8
"""At once, over all doors."""

_BOUNDARY = b"--picture\r\n"
"""Behind each part, for a browser shows one when it sees where it ends: https://www.rfc-editor.org/rfc/rfc2046#section-5.1.1"""
_HEADERS = [(b"content-type", b"multipart/x-mixed-replace; boundary=picture")]

Frames = Callable[[], AsyncGenerator[tuple[int, bytes], None]]
"""Pictures for one viewer, as sequence and JPEG. It is asked for the next one when the viewer has taken the last: the newest by then."""


class Pictures:
    """An application of ASGI. A viewer who is slow gets fewer of them."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._viewers = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._viewers >= VIEWERS:
            return await refused(503, f"{VIEWERS} look at the pictures already: close a page")(scope, receive, send)
        self._viewers += 1
        try:
            with suppress(ClientLeft):
                await while_present(receive, self._show(send))
        finally:
            self._viewers -= 1

    async def _show(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": _BOUNDARY, "more_body": True})
        try:
            async with aclosing(self._frames()) as frames:
                async for sequence, jpeg in frames:
                    await send({"type": "http.response.body", "body": _part(sequence, jpeg), "more_body": True})
        finally:  # also for a viewer who is no longer paired
            await send({"type": "http.response.body", "body": b""})


def _part(sequence: int, jpeg: bytes) -> bytes:
    head = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\nX-Sequence: %d\r\n\r\n" % (len(jpeg), sequence)
    return head + jpeg + b"\r\n" + _BOUNDARY
