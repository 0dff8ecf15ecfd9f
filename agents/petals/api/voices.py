"""Completions and chats: the same texts, told in two ways."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Protocol

from agents.petals.api.objects import ChatChoice, Delta, DeltaChoice, Said, TextChoice, finish_of
from agents.petals.api.texts import Ending, Piece

Choice = TextChoice | ChatChoice | DeltaChoice


class Voice(Protocol):
    """`kind` is the object that is answered, `chunk` the one that a stream consists of, `opening` what a stream begins with."""

    kind: str
    chunk: str
    opening: Sequence[Choice]

    def name(self) -> str:
        """A new id."""

    def piece(self, piece: Piece) -> Choice: ...

    def ending(self, ending: Ending) -> Choice:
        """What closes a text in a stream."""

    def whole(self, ending: Ending) -> Choice: ...


class Completion:
    """Texts behind prompts."""

    kind = chunk = "text_completion"
    opening: Sequence[Choice] = ()

    def name(self) -> str:
        return f"cmpl-{secrets.token_hex(12)}"

    def piece(self, piece: Piece) -> Choice:
        return TextChoice(index=piece.index, text=piece.text)

    def ending(self, ending: Ending) -> Choice:
        return TextChoice(index=ending.index, text="", finish_reason=finish_of(ending.written), zeropoint=ending.origin)

    def whole(self, ending: Ending) -> Choice:
        finish = finish_of(ending.written)
        return TextChoice(index=ending.index, text=ending.written.text, finish_reason=finish, zeropoint=ending.origin)


class Chat:
    """An assistant's message. The prompt ends with a colon: a blank behind it is no part of what is said."""

    kind, chunk = "chat.completion", "chat.completion.chunk"
    opening: Sequence[Choice] = (DeltaChoice(delta=Delta(role="assistant", content="")),)

    def name(self) -> str:
        return f"chatcmpl-{secrets.token_hex(12)}"

    def piece(self, piece: Piece) -> Choice:
        return DeltaChoice(delta=Delta(content=piece.text.removeprefix(" ") if piece.first else piece.text))

    def ending(self, ending: Ending) -> Choice:
        return DeltaChoice(delta=Delta(), finish_reason=finish_of(ending.written), zeropoint=ending.origin)

    def whole(self, ending: Ending) -> Choice:
        said = Said(content=ending.written.text.removeprefix(" "))
        return ChatChoice(message=said, finish_reason=finish_of(ending.written), zeropoint=ending.origin)
