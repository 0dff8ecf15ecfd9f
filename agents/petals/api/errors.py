"""Errors as OpenAI's clients know them: https://platform.openai.com/docs/guides/error-codes"""

from __future__ import annotations

from msgspec import Struct, json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from agents.parts.external_data import BadModel
from agents.parts.generation.errors import BadRequest
from agents.parts.http.gate import TOLD
from agents.petals.errors import Busy, Closing, NoModel, Unanswered

BUSY_SECONDS, MODEL_SECONDS = 1, 5
"""After which a client may ask again: where too many texts are being written, and where there is no model yet."""

_CODES = {401: "invalid_api_key", 408: "request_timeout", 413: "request_too_large", 429: "rate_limit_exceeded"}


class ApiError(Exception):
    """A request that is not answered. `param` names the parameter that is wrong; `retry` is when to ask again, in seconds."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None, retry: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.retry = status, message, param, retry
        self.code = code or _CODES.get(status)

    @property
    def body(self) -> bytes:
        """In JSON."""
        return json.encode(_Body(error=_Error(message=self.message, type=_type(self.status), param=self.param, code=self.code)))

    def response(self) -> Response:
        headers = {} if self.retry is None else {"retry-after": str(self.retry)}
        return Response(self.body, self.status, headers, "application/json")


FORESEEN = (ApiError, BadRequest, BadModel, Busy, Closing, NoModel, Unanswered)


class _Error(Struct, frozen=True, kw_only=True):
    message: str
    type: str
    param: str | None
    code: str | None


class _Body(Struct, frozen=True, kw_only=True):
    error: _Error


def _type(status: int) -> str:
    if status >= 500:
        return "server_error"
    return "rate_limit_error" if status == 429 else "invalid_request_error"


def error_body(status: int, message: str) -> bytes:
    """For what is refused before a request is read."""
    return ApiError(status, message).body


def as_api_error(error: Exception) -> ApiError:
    """How a client is told. Of what is not FORESEEN it is told nothing: whoever catches that logs it."""
    match error:
        case ApiError():
            return error
        case BadRequest():
            return ApiError(400, str(error))
        case Busy():
            return ApiError(429, str(error), retry=BUSY_SECONDS)
        case NoModel():
            return ApiError(503, str(error), code="no_model", retry=MODEL_SECONDS)
        case Unanswered():
            return ApiError(503, str(error), code="no_route", retry=MODEL_SECONDS)
        case Closing():
            return ApiError(503, str(error), code="closing")
        case BadModel():
            return ApiError(500, str(error), code="bad_model")
    return ApiError(500, "the agent failed at this request: its log says how")


async def refuse(request: Request, error: Exception) -> Response:
    return as_api_error(error).response()


async def refuse_route(request: Request, error: Exception) -> Response:
    """What Starlette raises for a path or a method that there is none of."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    wrong = {404: "there is no such path", 405: "this path has no such method"}.get(status, str(error))
    response = ApiError(status, f"{wrong}: {request.method[:TOLD]} {request.scope['path'][:TOLD]}").response()
    response.headers.update(dict(getattr(error, "headers", None) or {}))
    return response
