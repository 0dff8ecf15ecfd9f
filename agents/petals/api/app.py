"""The HTTP API: what OpenAI's clients speak, and what operators look at."""

from __future__ import annotations

import time
from dataclasses import dataclass

from msgspec import Struct, json
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agents.parts.generation.text import Request as TextRequest
from agents.parts.http.asgi import App
from agents.parts.http.gate import TOLD, Gate
from agents.parts.http.guard import Guard
from agents.parts.http.presence import ClientLeft, while_present
from agents.petals.api import asked
from agents.petals.api.answers import Answers, ModelCard
from agents.petals.api.bodies import Body, ChatBody, CompletionBody, read_body
from agents.petals.api.errors import FORESEEN, ApiError, error_body, refuse, refuse_route
from agents.petals.api.metrics import Counted, Metrics
from agents.petals.api.objects import Models, model_of
from agents.petals.api.telling import EventStream, Telling, Unheard
from agents.petals.api.texts import write_all
from agents.petals.api.voices import Chat, Completion, Voice
from agents.petals.errors import NoModel


def application(answers: Answers, gate: Gate) -> App:
    """The whole API behind a door's gate."""
    metrics = Metrics(answers)
    return Counted(Guard(_routes(Api(answers, metrics)), gate, error_body), metrics.requests)


@dataclass(frozen=True, slots=True)
class Api:
    """A method for each path."""

    answers: Answers
    metrics: Metrics

    async def list_models(self, request: Request) -> Response:
        try:
            return _json(Models(data=[model_of(self.answers.model())]))
        except NoModel:
            return _json(Models(data=[]))

    async def retrieve_model(self, request: Request) -> Response:
        return _json(model_of(self._model(request.path_params["model"])))

    async def complete(self, request: Request) -> Response:
        body = read_body(CompletionBody, await request.body())
        card = self._model(body.model)
        return await self._tell(request, Completion(), body, card, asked.completions(body))

    async def chat(self, request: Request) -> Response:
        body = read_body(ChatBody, await request.body())
        card = self._model(body.model)
        return await self._tell(request, Chat(), body, card, [asked.chat(body, card.context)])

    async def status(self, request: Request) -> Response:
        return _json(self.answers.status())

    async def peers(self, request: Request) -> Response:
        return _json(self.answers.peers())

    async def show_metrics(self, request: Request) -> Response:
        return Response(self.metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})

    def _model(self, name: str) -> ModelCard:
        """Raises NoModel, ApiError."""
        card = self.answers.model()
        if name != card.id:
            raise ApiError(404, f"there is no model {name[:TOLD]!r} here, but {card.id!r}", param="model", code="model_not_found")
        return card

    async def _tell(self, request: Request, voice: Voice, body: Body, card: ModelCard, requests: list[TextRequest]) -> Response:
        """Write for as long as the client is there. Raises what writing raises: of a stream, before its first piece."""
        telling = Telling(
            voice=voice,
            id=voice.name(),
            created=int(time.time()),
            model=card.id,
            include_usage=body.include_usage,
            ended=self.metrics.written,
        )
        texts = write_all(self.answers, requests)
        if body.stream:
            first = await while_present(request.receive, anext(texts))
            return EventStream(telling.events(first, texts), texts)
        whole = await while_present(request.receive, telling.whole(texts))
        return Response(whole, media_type="application/json")


def _routes(api: Api) -> Starlette:
    return Starlette(
        routes=[
            Route("/v1/models", api.list_models),
            Route("/v1/models/{model:path}", api.retrieve_model),
            Route("/v1/completions", api.complete, methods=["POST"]),
            Route("/v1/chat/completions", api.chat, methods=["POST"]),
            Route("/status", api.status),
            Route("/peers", api.peers),
            Route("/metrics", api.show_metrics),
        ],
        exception_handlers={
            **dict.fromkeys((*FORESEEN, Exception), refuse),
            HTTPException: refuse_route,
            ClientLeft: _unheard,
        },
    )


def _json(answer: Struct) -> Response:
    return Response(json.encode(answer), media_type="application/json")


async def _unheard(request: Request, error: Exception) -> Response:
    return Unheard()
