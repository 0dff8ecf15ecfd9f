"""Tokens: how text becomes numbers and numbers become text. A byte is a token, or a byte-level BPE is trained on the corpus itself."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[Any]  # Any: uint8, uint16 or uint32, as the vocabulary needs

END = "<|end|>"
"""How the token between two documents is written."""


Kind = Literal["bytes", "bpe"]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which tokenizer: bytes, or a BPE of `vocabulary` tokens that is trained on the corpus."""

    tokenizer: Kind
    vocabulary: int = 256


class Tokenizer(Protocol):
    """Both ways between text and tokens. `separator` is the token after each document, and no text has it."""

    @property
    def name(self) -> str: ...

    @property
    def vocabulary(self) -> int:
        """How many tokens there are: each is below it."""

    @property
    def separator(self) -> int: ...

    @property
    def file(self) -> bytes | None:
        """The tokenizer.json from which the library `tokenizers` makes the same one; None where none is needed."""

    def encode(self, texts: Sequence[bytes]) -> list[Ids]:
        """The tokens of each text. Raises UnicodeDecodeError for what is no UTF-8, where text is needed."""

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, separators shown as END; what is no text, or no token, is replaced or left out. Never raises."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """A token is a byte. NUL is the separator: no text of a corpus has it."""

    name: str = "bytes"
    vocabulary: int = 256
    separator: int = 0
    file: bytes | None = None

    def encode(self, texts: Sequence[bytes]) -> list[Ids]:
        return [np.frombuffer(text, np.uint8) for text in texts]

    def decode(self, tokens: Sequence[int]) -> str:
        known = bytes(token if 0 <= token < 256 else 0xFF for token in tokens)  # 0xFF is in no UTF-8, so it is replaced
        return known.decode(errors="replace").replace("\0", END)


def hash_of(tokenizer: Tokenizer) -> str | None:
    """SHA-256 of its tokenizer.json; None where it has none, as bytes need none."""
    return None if tokenizer.file is None else hashlib.sha256(tokenizer.file).hexdigest()


def dtype_for(vocabulary: int) -> str:
    """The smallest little-endian type that holds every token, as numpy writes it."""
    return "<u1" if vocabulary <= 1 << 8 else "<u2" if vocabulary <= 1 << 16 else "<u4"
