"""What clients ask for, in OpenAI's terms: each parameter of its API is used, is ignored, or is refused by name.

Source: https://platform.openai.com/docs/api-reference, and the types of the package `openai`, against which a test holds these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from msgspec import Meta, Raw, Struct, json
from msgspec.structs import fields

from agents.parts.generation.text import STOP_LENGTH, STOPS
from agents.parts.http.gate import TOLD
from agents.petals.api.errors import ApiError

LONGEST = 100_000
"""Tokens of one text at most."""
WHY = 200
"""Letters at most of what is wrong with a parameter, in the error that a client gets."""

Length = Annotated[int, Meta(ge=1, le=LONGEST)]
Token = Annotated[int, Meta(ge=0, le=(1 << 31) - 1)]
Stop = Annotated[str, Meta(min_length=1, max_length=STOP_LENGTH)]
Neutral = Mapping[str, tuple[Any, ...]]  # Any: values of JSON

_NOTHING_ELSE: Neutral = {
    "n": (None, 1),
    "frequency_penalty": (None, 0, 0.0),
    "presence_penalty": (None, 0, 0.0),
    "logit_bias": (None, {}),
}


class StreamOptions(Struct, frozen=True, kw_only=True):
    """`include_usage`: a last chunk says how many tokens it were. Nothing is padded, whatever `include_obfuscation` says."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Body(Struct, frozen=True, kw_only=True):
    """What both kinds of request have. Null is as if it were not there.

    `neutral`: parameters that change the text in a way that is not to be had here, with the values that change nothing.
    `ignored`: those that change no text.
    """

    neutral: ClassVar[Neutral] = {}
    ignored: ClassVar[frozenset[str]] = frozenset()

    model: Annotated[str, Meta(max_length=256)]
    max_tokens: Length | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    seed: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] | None = None
    stop: Stop | Annotated[list[Stop], Meta(max_length=STOPS - 1)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @property
    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)


class CompletionBody(Body, frozen=True, kw_only=True):
    """POST /v1/completions: texts behind one or several prompts, each a text or its tokens."""

    neutral: ClassVar[Neutral] = {
        **_NOTHING_ELSE,
        "best_of": (None, 1),
        "echo": (None, False),
        "logprobs": (None,),
        "suffix": (None, ""),
    }
    ignored: ClassVar[frozenset[str]] = frozenset({"user"})

    prompt: str | list[str | Token | list[Token]] | None


class Part(Struct, frozen=True, kw_only=True):
    """Of a message."""

    type: str
    text: str = ""


class Message(Struct, frozen=True, kw_only=True):
    """Of a conversation. An assistant's may be one that an API has answered with, with all that is null in it."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part]
    audio: None = None
    function_call: None = None
    tool_calls: Annotated[list[Raw], Meta(max_length=0)] | None = None


class ChatBody(Body, frozen=True, kw_only=True):
    """POST /v1/chat/completions: the next message of an assistant."""

    neutral: ClassVar[Neutral] = {
        **_NOTHING_ELSE,
        "audio": (None,),
        "function_call": (None, "none"),
        "functions": (None, []),
        "logprobs": (None, False),
        "modalities": (None, ["text"]),
        "moderation": (None,),
        "reasoning_effort": (None, "none"),
        "response_format": (None, {"type": "text"}),
        "store": (None, False),
        "tool_choice": (None, "none", "auto"),
        "tools": (None, []),
        "top_logprobs": (None, 0),
        "verbosity": (None, "medium"),
        "web_search_options": (None,),
    }
    ignored: ClassVar[frozenset[str]] = frozenset(
        {
            "metadata",
            "parallel_tool_calls",
            "prediction",
            "prompt_cache_key",
            "prompt_cache_options",
            "prompt_cache_retention",
            "safety_identifier",
            "service_tier",
            "user",
        }
    )

    messages: Annotated[list[Message], Meta(min_length=1)]
    max_completion_tokens: Length | None = None


B = TypeVar("B", bound=Body)


def read_body(kind: type[B], data: bytes) -> B:
    """Raises ApiError, with the parameter that is wrong."""
    given = _parameters(data)
    used = {field.name: field for field in fields(kind)}
    for name in sorted(given.keys() - used.keys() - kind.ignored):
        _check_neutral(kind, name, given[name])
    for name, field in used.items():
        if field.required and name not in given:
            raise ApiError(400, f"{name} is missing", param=name, code="missing_required_parameter")
    body = kind(**{name: _value(name, given[name], field.type) for name, field in used.items() if name in given})
    if body.stream_options is not None and not body.stream:
        raise ApiError(400, "stream_options is for streams: set stream too", param="stream_options")
    return body


def _parameters(data: bytes) -> dict[str, Raw]:
    """Each parameter's JSON, as it was sent."""
    try:
        return json.decode(data, type=dict[str, Raw])
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the body is no JSON object: {str(error)[:WHY]}") from error


def _value(name: str, sent: Raw, kind: Any) -> Any:  # Any: what a field's type is and gives
    try:
        return json.decode(sent, type=kind)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"{name}: {str(error)[:WHY]}", param=name) from error


def _check_neutral(kind: type[Body], name: str, sent: Raw) -> None:
    """Raises ApiError for a parameter that nobody knows, or that would change the text."""
    neutral = kind.neutral.get(name)
    if neutral is None:
        raise ApiError(400, f"unknown parameter: {name[:TOLD]!r}", param=name[:TOLD], code="unknown_parameter")
    value = _value(name, sent, Any)
    if not any(type(value) is type(each) and value == each for each in neutral):
        wanted = " or ".join(json.encode(each).decode() for each in neutral)
        raise ApiError(400, f"{name} is not supported: leave it out, or send {wanted}", param=name, code="unsupported_parameter")
