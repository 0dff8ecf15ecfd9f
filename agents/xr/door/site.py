"""What is at which path of a door."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from agents.xr.door.answers import refuse_route, refused
from agents.xr.door.files import page_file
from agents.xr.door.metrics import Metrics
from agents.xr.door.pictures import Pictures
from agents.xr.door.stream import Streams

STREAM, PICTURES = "/stream", "/overlay.mjpeg"


@dataclass(frozen=True, slots=True)
class Site:
    """What all doors share, so that its bounds are for all of them together."""

    streams: Streams
    pictures: Pictures
    metrics: Metrics

    def application(self, further: Sequence[BaseRoute] = ()) -> Starlette:
        """For one door, with what only that one has."""
        routes = [
            Route("/", _poses),
            Route("/overlay", _overlay),
            Route("/page/{name}", _file),
            Route("/metrics", self.metrics.show),
            Route(PICTURES, self.pictures, methods=["GET"]),
            WebSocketRoute(STREAM, self.streams.serve),
            Route(STREAM, _no_page),
            *further,
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: refuse_route})


async def _poses(request: Request) -> Response:
    return page_file("index.html")


async def _overlay(request: Request) -> Response:
    return page_file("overlay.html")


async def _no_page(request: Request) -> Response:
    """https://www.rfc-editor.org/rfc/rfc9110#section-15.5.22"""
    return refused(426, f"{STREAM} is a WebSocket: open it as one", {"upgrade": "websocket", "connection": "upgrade"})


async def _file(request: Request) -> Response:
    return page_file(request.path_params["name"])
