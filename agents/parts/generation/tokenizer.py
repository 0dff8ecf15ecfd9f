"""Text to tokens and back, by the tokenizer.json of an exported folder: byte-level BPE, be it with merges or a byte for a token."""

from __future__ import annotations

from pathlib import Path

from tokenizers import decoders

from agents.parts.bounded import Unreadable, read_bounded
from agents.parts.external_data import BadModel
from agents.parts.generation.errors import BadRequest
from agents.parts.tokenizer_file import LIMIT, BadTokenizer, byte_names, guarded, open_tokenizer


class Tokenizer:
    """What a text says about special tokens is text: none of them comes out of `encode`."""

    def __init__(self, file: bytes) -> None:
        """Raises BadModel where `file` is no tokenizer.json whose tokens are bytes."""
        try:
            self._tokenizer = open_tokenizer(file)
        except BadTokenizer as error:
            raise BadModel(str(error)) from error
        if not isinstance(self._tokenizer.decoder, decoders.ByteLevel):
            raise BadModel(f"the tokenizer decodes by {self._tokenizer.decoder}: want a byte-level BPE")
        self._tokenizer.encode_special_tokens = True

    @classmethod
    def open(cls, folder: Path) -> Tokenizer:
        """Raises BadModel."""
        try:
            return cls(read_bounded(folder / "tokenizer.json", LIMIT))
        except Unreadable as error:
            raise BadModel(str(error)) from error

    def encode(self, text: str) -> list[int]:
        """Raises BadRequest for a text that this tokenizer cannot take."""
        try:
            return guarded(lambda: self._tokenizer.encode(text, add_special_tokens=False).ids, "the prompt cannot be read")
        except BadTokenizer as error:
            raise BadRequest(str(error)) from error

    def bytes_of(self, token: int) -> bytes:
        """The part of a text's UTF-8 that a token stands for; nothing for a token that the tokenizer does not have."""
        written = self._tokenizer.id_to_token(token) or ""
        if all(letter in _BYTES for letter in written):
            return bytes(_BYTES[letter] for letter in written)
        return written.encode()


_BYTES = byte_names()
