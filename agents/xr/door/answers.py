"""What all answers of the site have in common: how errors look, and what a browser may do with a page of ours."""

from __future__ import annotations

from msgspec import Struct, json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from agents.parts.http.asgi import App, Message, Receive, Scope, Send
from agents.parts.http.gate import Gate
from agents.parts.http.guard import Guard

_POLICY = "; ".join(
    (
        "default-src 'self'",
        "connect-src 'self'",
        "img-src 'self' blob:",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
HEADERS = {
    b"content-security-policy": _POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"permissions-policy": b"xr-spatial-tracking=(self)",
    b"cache-control": b"no-store",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-embedder-policy": b"require-corp",
    b"cross-origin-resource-policy": b"same-origin",
}
"""The three last keep our pages apart from all others, whereupon browsers show them time to 5 µs, not 100: https://www.w3.org/TR/hr-time-3/"""

BODY_BYTES = 1024
"""Of a request at most, also of one that is then refused: all that is sent here is a token."""


class _Error(Struct, frozen=True, kw_only=True):
    error: str


def error_body(status: int, message: str) -> bytes:
    """In JSON. The status is in front of it."""
    return json.encode(_Error(error=message))


def refused(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """It answers a request, and also a WebSocket that wants to open."""
    return Response(error_body(status, message), status, headers, "application/json")


async def refuse_route(request: Request, error: Exception) -> Response:
    """What Starlette raises for a path or a method that there is none of."""
    assert isinstance(error, HTTPException)
    return refused(error.status_code, error.detail, dict(error.headers or {}))


def guarded(app: App, gate: Gate) -> App:
    """An application behind a door's gate. The headers are also on what the gate refuses."""
    guard = Guard(app, gate, error_body, BODY_BYTES)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                message = {**message, "headers": [*message.get("headers", ()), *HEADERS.items()]}
            await send(message)

        await guard(scope, receive, send_with_headers)

    return answer
