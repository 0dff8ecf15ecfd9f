"""What is answered, as OpenAI's clients know it.

One thing is added: a choice that has ended has `zeropoint`, which says who computed it. Clients ignore what they do not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from agents.parts.generation.text import Written
from agents.petals.api.answers import ModelCard
from schemas.petals import Stretch

Finish = Literal["stop", "length"]


class Model(Struct, frozen=True, kw_only=True):
    """`context_length` is in tokens, and no part of OpenAI's API."""

    id: str
    created: int
    context_length: int
    object: str = "model"
    owned_by: str = "zeropoint"


class Models(Struct, frozen=True, kw_only=True):
    data: list[Model]
    object: str = "list"


class Origin(Struct, frozen=True, kw_only=True):
    """A text's name in events, who computed its tokens, in order, and why that was not the swarm."""

    generation: str
    served: Sequence[Stretch]
    note: str | None


class Usage(Struct, frozen=True, kw_only=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TextChoice(Struct, frozen=True, kw_only=True):
    """Of a completion, whole or a piece of it."""

    index: int
    text: str
    finish_reason: Finish | None = None
    logprobs: None = None
    zeropoint: Origin | UnsetType = UNSET


class Said(Struct, frozen=True, kw_only=True):
    content: str
    role: str = "assistant"
    refusal: None = None


class ChatChoice(Struct, frozen=True, kw_only=True):
    message: Said
    finish_reason: Finish
    zeropoint: Origin
    index: int = 0
    logprobs: None = None


class Delta(Struct, frozen=True, kw_only=True):
    content: str | UnsetType = UNSET
    role: str | UnsetType = UNSET


class DeltaChoice(Struct, frozen=True, kw_only=True):
    """A piece of a chat's message."""

    delta: Delta
    finish_reason: Finish | None = None
    zeropoint: Origin | UnsetType = UNSET
    index: int = 0
    logprobs: None = None


class Answer(Struct, frozen=True, kw_only=True):
    """A whole answer, or a chunk of a stream: then `usage` is null but in the last, and not there where nobody asked for it."""

    id: str
    object: str
    created: int
    model: str
    choices: Sequence[TextChoice | ChatChoice | DeltaChoice]
    usage: Usage | UnsetType | None = UNSET


def model_of(card: ModelCard) -> Model:
    return Model(id=card.id, created=card.created, context_length=card.context)


def finish_of(written: Written) -> Finish:
    return "length" if written.finish == "length" else "stop"


def usage_of(texts: Sequence[Written]) -> Usage:
    prompt, completion = sum(each.prompt_tokens for each in texts), sum(each.tokens for each in texts)
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)
