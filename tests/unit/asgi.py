"""Asks an ASGI application without a server: what it receives is written down before, what it sends is looked at afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.parts.http.asgi import App, Message, Scope

HOST = "127.0.0.1:8000"


def scope(kind: str = "http", method: str = "GET", path: str = "/", headers: Sequence[tuple[str, str]] = (("Host", HOST),)) -> Scope:
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }


@dataclass(slots=True)
class Reply:
    """What an application has sent."""

    messages: list[Message] = field(default_factory=list)

    @property
    def status(self) -> int | None:
        return next((message["status"] for message in self.messages if message["type"] == "http.response.start"), None)

    @property
    def headers(self) -> Mapping[str, str]:
        return {name.decode(): value.decode() for name, value in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages if message["type"] == "http.response.body")

    @property
    def ended(self) -> bool:
        return bool(self.messages) and not self.messages[-1].get("more_body", False)


class Client:
    """Sends the parts of a body, and then stays silent, or leaves: at once, or when it has got as many messages as `leaves_after`.

    One that `stalls` takes the last of them for ever.
    """

    def __init__(
        self, parts: Sequence[bytes] = (b"",), *, whole: bool = True, leaves_after: int | None = None, stalls: bool = False
    ) -> None:
        last = len(parts) - 1 if whole else None
        self._sends = [{"type": "http.request", "body": part, "more_body": number != last} for number, part in enumerate(parts)]
        self._left = asyncio.Event()
        self._leaves_after, self._stalls = leaves_after, stalls
        self.reply = Reply()
        if leaves_after == 0:
            self._left.set()

    async def receive(self) -> Message:
        if self._sends:
            return self._sends.pop(0)
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.reply.messages.append(message)
        if len(self.reply.messages) == self._leaves_after:
            self._left.set()
            if self._stalls:
                await asyncio.Event().wait()


def ask(app: App, client_of: Mapping[str, Any] | None = None, **request: Any) -> Reply:  # Any: as Client and scope take it
    """The whole of one request. `client_of` is what Client takes, the rest what `scope` does."""

    async def once() -> Reply:
        client = Client(**(client_of or {}))
        await asyncio.wait_for(app(scope(**request), client.receive, client.send), 20)
        return client.reply

    return asyncio.run(once())
