"""A tokenizer.json, as the library `tokenizers` reads it: bounded, checked, and with every error an exception."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tokenizers

T = TypeVar("T")

LIMIT = 64 << 20
"""Bytes that are parsed at most; a tokenizer.json of 262,144 tokens has 18 MB."""


class BadTokenizer(ValueError):
    """A tokenizer.json that is none, or a text that its tokenizer cannot take; the message says which."""


def open_tokenizer(file: bytes) -> tokenizers.Tokenizer:
    """One that reads texts whole: what the file says of cutting and filling them up is for training. Raises BadTokenizer."""
    if len(file) > LIMIT:
        raise BadTokenizer(f"a tokenizer.json of {len(file)} bytes: at most {LIMIT} are read")
    tokenizer = guarded(lambda: tokenizers.Tokenizer.from_buffer(file), "not a tokenizer.json")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def guarded(call: Callable[[], T], what: str) -> T:
    """The result of a call into the library, whose panics are no Exceptions. Raises BadTokenizer."""
    try:
        return call()
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        raise BadTokenizer(f"{what}: {error}") from error


def byte_names() -> dict[str, int]:
    """GPT-2's character for each byte: its own where that is visible in Latin-1, else the next one from U+0100 on.

    Source: https://github.com/openai/gpt-2/blob/master/src/encoder.py, `bytes_to_unicode`.
    """
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = sorted(set(range(256)) - set(visible))
    return {**{chr(byte): byte for byte in visible}, **{chr(256 + place): byte for place, byte in enumerate(hidden)}}
