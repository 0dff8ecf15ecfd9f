"""What is answered to a request: a status of HTTP, and JSON in the shape that Unreal gives it."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from agents.parts.remote_control import Error

TOLD = 200
"""Letters at most of what a client sent, in the error that it gets."""


class Answer(Struct, frozen=True):
    """A status of HTTP, and a body; an empty one where there is nothing to say."""

    code: int
    body: bytes = b""


class Refused(Exception):
    """A request is not answered as it was meant; the message says why, and `code` is its status of HTTP."""

    def __init__(self, message: str, code: int = 400) -> None:
        super().__init__(message)
        self.code = code

    @property
    def answer(self) -> Answer:
        return Answer(self.code, error_body(self.code, str(self)))


def said(value: msgspec.Struct) -> Answer:
    return Answer(200, msgspec.json.encode(value))


def error_body(code: int, message: str) -> bytes:
    """The JSON by which clients know an error, whatever its code."""
    return msgspec.json.encode(Error(errorMessage=message))


def shown(text: str) -> str:
    """Something a client sent, short enough to be said back to it."""
    return text if len(text) <= TOLD else f"{text[:TOLD]}…"
