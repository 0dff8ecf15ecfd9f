"""Answers Remote Control: a verb, an address and a body in, a status and a body out, over whatever they have come.

Source: Epic's "Remote Control API HTTP Reference" and "Remote Control Preset HTTP Reference", Unreal Engine 5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import unquote

import msgspec
from msgspec import Raw, Struct

from agents.engine.remote import assets
from agents.engine.remote.answer import Answer, Refused, said, shown
from agents.engine.remote.context import Context
from agents.engine.remote.describing import describe
from agents.engine.remote.objects import Found, find
from agents.engine.remote.reading import Reader, Unreadable
from agents.engine.remote.requests import Batch, Call, ObjectName, PropertyAccess, Request
from agents.parts.remote_control import BODY_LIMIT

NOT_ROUTED = "errors.com.epicgames.httpserver.route_handler_not_found"

T = TypeVar("T", bound=Struct)
Body = bytes | Raw
Handler = Callable[[Body], Answer]


class Route(Struct, frozen=True):
    """As `/remote/info` lists it."""

    Path: str
    Verb: str
    Description: str


class Info(Struct, frozen=True):
    HttpRoutes: list[Route]
    ActivePreset: str = ""
    bIsPackaged: bool = False


class Presets(Struct, frozen=True):
    Presets: list[str] = []


class NotRouted(Struct, frozen=True):
    errorCode: str
    errorMessage: str


ROUTES = (
    Route("/remote/info", "Get", "Get information about different routes available on this API."),
    Route("/remote", "Options", "Allows cross-origin http requests to the API."),
    Route("/remote/batch", "Put", "Allows batching multiple calls into one request."),
    Route("/remote/object/call", "Put", "Call a function on a remote object."),
    Route("/remote/object/property", "Put", "Read or write a property on a remote object."),
    Route("/remote/object/describe", "Put", "Describe an object."),
    Route("/remote/object/thumbnail", "Put", "Get an object's thumbnail."),
    Route("/remote/search/assets", "Put", "Search for assets."),
    Route("/remote/presets", "Get", "Get a list of available remote control presets."),
    Route("/remote/preset/{preset}", "Get", "Get information about a preset."),
)
_PRESET = "/remote/preset/"


class Remote:
    """Remote Control of a context. For one thread."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._handlers: dict[tuple[str, str], Handler] = {
            ("GET", "/remote/info"): lambda body: said(Info(list(ROUTES))),
            ("OPTIONS", "/remote"): lambda body: Answer(200),
            ("PUT", "/remote/batch"): self._batch,
            ("PUT", "/remote/object/call"): self._call,
            ("PUT", "/remote/object/property"): self._property,
            ("PUT", "/remote/object/describe"): self._describe,
            ("PUT", "/remote/object/thumbnail"): self._thumbnail,
            ("PUT", "/remote/search/assets"): self._search,
            ("GET", "/remote/presets"): lambda body: said(Presets()),
        }

    def dispatch(self, verb: str, url: str, body: Body) -> Answer:
        """What is answered, errors too: nothing is raised for anything that a client can send."""
        try:
            return self._handler(verb, url)(body)
        except Refused as refused:
            return refused.answer

    def _handler(self, verb: str, url: str) -> Handler:
        return self._handlers.get((verb, url)) or self._routed(verb.upper(), url)

    def _routed(self, verb: str, url: str) -> Handler:
        """The handler of an address that is not spelled as in the table."""
        path = f"/{url.partition('?')[0].strip('/')}"
        if verb == "OPTIONS" and path.startswith("/remote/"):
            path = "/remote"
        if path.startswith(_PRESET):
            return lambda body: _no_preset(path.removeprefix(_PRESET))
        return self._handlers.get((verb, path)) or (lambda body: _not_routed(verb, path))

    def _call(self, body: Body) -> Answer:
        asked = _read(_CALL, body)
        kind, it, path, _ = find(self._context, asked.objectPath)
        return Answer(200, kind.function(asked.functionName, path).call(self._context, it, asked.parameters))

    def _property(self, body: Body) -> Answer:
        asked = _read(_PROPERTY, body)
        found = find(self._context, asked.objectPath)
        return self._tell(found, asked) if asked.access == "READ_ACCESS" else self._set(found, asked)

    def _tell(self, found: Found, asked: PropertyAccess) -> Answer:
        wanted = [found.kind.property(asked.propertyName, found.path)] if asked.propertyName else found.kind.properties
        return Answer(200, msgspec.json.encode({each.name: each.get(self._context, found.it) for each in wanted}))

    def _set(self, found: Found, asked: PropertyAccess) -> Answer:
        """All of it or nothing. Unreal answers a write with nothing."""
        values = _values(asked).items()
        for write in [found.kind.property(name, found.path).writing(self._context, found.it, value) for name, value in values]:
            write()
        return Answer(200)

    def _describe(self, body: Body) -> Answer:
        return said(describe(find(self._context, _read(_OBJECT, body).objectPath)))

    def _thumbnail(self, body: Body) -> Answer:
        raise Refused(f"Object: {shown(_read(_OBJECT, body).objectPath)} has no thumbnail.", 404)

    def _search(self, body: Body) -> Answer:
        return said(assets.search(self._context, _read(_SEARCH, body)))

    def _batch(self, body: Body) -> Answer:
        """Each request in its turn. Those behind an answer that is full are not carried out."""
        answers, size = [], 0
        for request in _read(_BATCH, body).Requests:
            answer = self._of_batch(request) if size < BODY_LIMIT else _FULL
            answers.append(enclosed(request.RequestId, answer))
            size += len(answer.body)
        return Answer(200, b'{"Responses":[%b]}' % b",".join(answers))

    def _of_batch(self, request: Request) -> Answer:
        if self._handler(request.Verb, request.URL) == self._batch:
            return Refused("A batch can not be part of a batch.").answer
        return self.dispatch(request.Verb, request.URL, request.Body)


def enclosed(request_id: int, answer: Answer) -> bytes:
    """The answer to a request that came inside of another, or in a WebSocket's message."""
    return b'{"RequestId":%d,"ResponseCode":%d,"ResponseBody":%b}' % (request_id, answer.code, answer.body or b"null")


def _read(reader: Reader[T], body: Body) -> T:
    """Raises Refused."""
    try:
        return reader.read(body)
    except Unreadable as error:
        raise Refused(f"Unable to deserialize request. {error}") from None


def _values(asked: PropertyAccess) -> dict[str, Raw]:
    """What is to be written, by property. Raises Refused."""
    if not asked.propertyName:
        return asked.propertyValue
    named = {name.lower(): value for name, value in asked.propertyValue.items()}
    value = named.get(asked.propertyName.lower())
    if value is None:
        raise Refused(
            f"Unable to deserialize request. propertyValue has no {shown(asked.propertyName)}: send it under the property's name."
        )
    return {asked.propertyName: value}


def _no_preset(path: str) -> Answer:
    raise Refused(f"Preset {shown(unquote(path.partition('/')[0]))} could not be found.", 404)


def _not_routed(verb: str, path: str) -> Answer:
    return Answer(
        404, msgspec.json.encode(NotRouted(NOT_ROUTED, f"No route for {shown(verb)} {shown(path)}: GET /remote/info lists them."))
    )


_FULL = Refused(f"A batch's answer has at most {BODY_LIMIT} bytes: send smaller batches.", 413).answer
_CALL = Reader(Call, lenient=True)
_PROPERTY = Reader(PropertyAccess, lenient=True)
_OBJECT = Reader(ObjectName, lenient=True)
_SEARCH = Reader(assets.Search, lenient=True)
_BATCH = Reader(Batch, lenient=True)
