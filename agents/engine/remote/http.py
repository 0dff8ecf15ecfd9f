"""Remote Control over HTTP, as an application of ASGI behind a door."""

from __future__ import annotations

from agents.engine.remote.answer import Answer, Refused, error_body
from agents.engine.remote.remote import Remote
from agents.parts.http.asgi import App, Receive, Scope, Send
from agents.parts.http.gate import Gate
from agents.parts.http.guard import Guard

JSON = b"application/json"


def application(remote: Remote, gate: Gate) -> App:
    return Guard(Http(remote), gate, error_body)


class Http:
    """Takes requests whose body has been read, and answers them."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        answer = self._answer(scope, body)
        headers = [(b"content-type", JSON), (b"content-length", b"%d" % len(answer.body))]
        await send({"type": "http.response.start", "status": answer.code, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    def _answer(self, scope: Scope, body: bytes) -> Answer:
        if body and not _is_json(scope):
            return Refused("Request content type must be application/json.").answer
        return self._remote.dispatch(scope["method"], scope["raw_path"].decode("latin-1"), body)


def _is_json(scope: Scope) -> bool:
    kinds = [value for name, value in scope["headers"] if name == b"content-type"]
    return len(kinds) == 1 and kinds[0].partition(b";")[0].strip().lower() == JSON
