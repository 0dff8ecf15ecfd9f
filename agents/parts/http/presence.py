"""Works for a client only as long as it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from agents.parts.http.asgi import Receive

T = TypeVar("T")


class ClientLeft(Exception):
    """The client has gone before it was answered: there is nobody to tell."""


async def while_present(receive: Receive, work: Awaitable[T]) -> T:
    """What `work` returns or raises. Raises ClientLeft, once it is cancelled and has ended, where the client leaves before.

    `receive` is that of a request whose body has been read.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_leaving(receive))
    try:
        await asyncio.wait([working, watching], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)
    raise ClientLeft


async def _leaving(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
