"""The site at a door that everybody in the LAN may knock at: who is not paired gets the page, which pairs, and nothing more."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route

from agents.parts.http.asgi import Receive, Scope, Send
from agents.xr.door.answers import refused
from agents.xr.door.pairing import COOKIE_SECONDS, WRONG_SECONDS, Pairing, TooManyTokens, WrongToken
from agents.xr.door.site import Site

PAIR = "/pair"


class Handed(Struct, frozen=True, kw_only=True):
    """What a page sends to be paired."""

    token: Annotated[str, Meta(max_length=128)]


class Admission:
    """An application of ASGI.

    Cookies go to all ports of a machine, so that each has its own. The prefix has browsers take it from this door alone:
    https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-4.1.3.2
    """

    def __init__(self, site: Site, pairing: Pairing, port: int) -> None:
        self._app = site.application([Route(PAIR, self._pair, methods=["POST"])])
        self._pairing = pairing
        self._cookie = f"__Host-xr-{port}"
        self._inside: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _is_for_all(scope):
            await self._app(scope, receive, send)
        elif self._pairing.admits(HTTPConnection(scope).cookies.get(self._cookie, "")):
            await self._let_in(scope, receive, send)
        else:
            await refused(401, "this browser is not paired: open the address that `bus call xr.pair` gives")(scope, receive, send)

    def dismiss(self) -> None:
        """Cut whatever goes on for browsers that were paired."""
        for task in self._inside:
            task.cancel()

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        """In a task of its own, which can be dismissed without the server's taking that for a failure."""
        task = asyncio.ensure_future(self._app(scope, receive, send))
        self._inside.add(task)
        try:
            await asyncio.wait([task])
        finally:
            self._inside.discard(task)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            task.result()

    async def _pair(self, request: Request) -> Response:
        body = await request.body()
        try:
            return self._paired(self._pairing.exchange(msgspec.json.decode(body, type=Handed).token))
        except msgspec.DecodeError as error:
            return refused(400, f'want {{"token": "..."}}: {error}')
        except TooManyTokens as error:
            return refused(429, str(error), {"retry-after": str(WRONG_SECONDS)})
        except WrongToken as error:
            return refused(403, str(error))

    def _paired(self, cookie: str) -> Response:
        response = Response(status_code=HTTPStatus.NO_CONTENT)
        response.set_cookie(self._cookie, cookie, COOKIE_SECONDS, path="/", secure=True, httponly=True, samesite="strict")
        return response


def _is_for_all(scope: Scope) -> bool:
    path = scope["path"]
    return scope["type"] == "http" and (path in ("/", PAIR) or path.startswith("/page/"))
