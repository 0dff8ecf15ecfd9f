"""From what a client asks for to the texts that are to be written."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from agents.parts.generation.sampling import Sampling
from agents.parts.generation.text import Request
from agents.parts.http.gate import TOLD
from agents.petals.api.bodies import Body, ChatBody, CompletionBody, Message, Part
from agents.petals.api.errors import ApiError

COMPLETION_LENGTH = 16
"""Tokens of a completion that names no length, as OpenAI has it. A chat's then has as many as the model's context holds."""
PROMPTS = 16
"""Of one request at most; they are continued one after the other."""
NEXT_TURN = "\n\nUser:"
"""Where an assistant's message ends."""

_SPEAKERS = {"system": "System", "developer": "System", "user": "User", "assistant": "Assistant"}


def completions(body: CompletionBody) -> list[Request]:
    """Raises ApiError, BadRequest."""
    return [_request(body, prompt, body.max_tokens or COMPLETION_LENGTH, body.stops) for prompt in _prompts(body.prompt)]


def chat(body: ChatBody, context: int) -> Request:
    """Raises ApiError, BadRequest."""
    if body.max_tokens is not None and body.max_completion_tokens is not None:
        raise ApiError(400, "max_tokens is the old name of max_completion_tokens: send one of them", param="max_tokens")
    length = body.max_completion_tokens or body.max_tokens or context
    return _request(body, transcript(body.messages), length, [*body.stops, NEXT_TURN])


def transcript(messages: Sequence[Message]) -> str:
    """A conversation as a model without a template of its own may have read some: each message behind its speaker, then the assistant."""
    turns = [f"{_SPEAKERS[message.role]}: {_content(message.content)}" for message in messages]
    return "\n\n".join([*turns, "Assistant:"])


def _request(body: Body, prompt: str | Sequence[int], length: int, stops: Sequence[str]) -> Request:
    sampling = Sampling(
        temperature=1.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        seed=secrets.randbits(32) if body.seed is None else body.seed,
    )
    return Request(prompt=prompt, length=length, sampling=sampling, stops=stops)


def _prompts(given: str | list[str | int | list[int]] | None) -> Sequence[str | Sequence[int]]:
    """One text or its tokens, or several of one kind. None: the beginning of a document."""
    if given is None or isinstance(given, str):
        return [given or ""]
    texts = [each for each in given if isinstance(each, str)]
    tokens = [each for each in given if isinstance(each, int)]
    rows = [each for each in given if isinstance(each, list)]
    if not given or max(len(texts), len(tokens), len(rows)) < len(given):
        raise ApiError(400, "a prompt is a text, a list of tokens, or a list of either", param="prompt")
    prompts: Sequence[str | Sequence[int]] = texts or rows or [tokens]
    if len(prompts) > PROMPTS:
        raise ApiError(400, f"{len(prompts)} prompts: at most {PROMPTS} are continued at once", param="prompt")
    return prompts


def _content(content: str | list[Part]) -> str:
    if isinstance(content, str):
        return content
    for part in content:
        if part.type != "text":
            raise ApiError(400, f"a part of type {part.type[:TOLD]!r}: this model reads text only", param="messages")
    return "".join(part.text for part in content)
