"""The documents of a file, one after the other and in parts of bounded size: a text, a line of JSON, a row of a Parquet file."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agents.trainer.data.corpus import BadData
from agents.trainer.data.files import BLOCK, File

PART = 256 << 10
"""Bytes of a part, about."""
LINE_LIMIT = 64 << 20
"""Bytes of one line of JSON."""

# Between a visible ASCII character and white space every tokenizer of ours splits anyway, so a cut there changes no token.
_SEAM = re.compile(rb"[!-~](?=[ \n\r\t])")


@dataclass(frozen=True, slots=True)
class Document:
    """One text in UTF-8, whose `parts` can be gone through once. `draw` is a hash: it decides on which side of a split the text falls."""

    draw: int
    parts: Iterable[bytes]


class _Row(msgspec.Struct):
    text: str


_decode_row = msgspec.json.Decoder(_Row).decode


def documents(file: File) -> Iterator[Document]:
    """Every document of a file. Raises BadData with the line or row that is none, and OSError."""
    match file.kind:
        case "text":
            yield Document(draw(os.fsencode(file.name)), read_parts(file.path, 0, file.size))
        case "jsonl":
            yield from (_document(text) for text in _lines(file))
        case "parquet":
            from agents.trainer.data.parquet import texts  # a large library: only for who has such a file

            yield from (_document(_visible(text, f"{file.name} row {row}")) for row, text in enumerate(texts(file), 1))


def draw(content: bytes) -> int:
    """A number that depends on `content` alone, each as likely as another: SHA-256's first eight bytes."""
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big")


def read_parts(path: Path, start: int, end: int) -> Iterator[bytes]:
    """The bytes [start, end) of a text file in parts, each of them UTF-8 where the whole is."""
    with path.open("rb") as file:
        file.seek(start)
        rest, left = b"", end - start
        while left > 0 and (block := file.read(min(BLOCK, left))):
            left -= len(block)
            *whole, rest = _cut(rest + block)
            yield from whole
        if rest:
            yield rest


def _document(text: bytes) -> Document:
    return Document(draw(text), _cut(text))


def _lines(file: File) -> Iterator[bytes]:
    with file.path.open("rb") as opened:
        number, left = 0, file.size  # not what another process writes behind that
        while line := opened.readline(min(LINE_LIMIT + 2, left)):
            number, left = number + 1, left - len(line)
            where = f"{file.name} line {number}"
            if len(line.removesuffix(b"\n")) > LINE_LIMIT:
                raise BadData(f"{where} is over {LINE_LIMIT >> 20} MiB")
            if not line.isspace():
                yield _visible(_text_of(line, where), where)


def _text_of(line: bytes, where: str) -> str:
    try:
        return _decode_row(line.decode()).text
    except UnicodeDecodeError as error:
        raise BadData(f"{where} is no UTF-8 text ({error.reason} at byte {error.start})") from error
    except msgspec.ValidationError as error:
        raise BadData(f"{where}: {error}; each line must be an object with a string `text`") from error
    except RecursionError as error:
        raise BadData(f"{where} is nested too deeply") from error
    except msgspec.DecodeError as error:
        raise BadData(f"{where} is no JSON: {error}") from error


def _visible(text: str, where: str) -> bytes:
    if "\0" in text:
        raise BadData(f"{where} has a NUL character in its text, which stands between documents")
    return text.encode()


def _cut(text: bytes) -> Iterator[bytes]:
    """The parts of a text, cut where a tokenizer splits, else between two characters. The last one may be short."""
    start = 0
    while len(text) - start > 2 * PART:
        end = _seam(text, start + PART, start + 2 * PART)
        yield text[start:end]
        start = end
    yield text[start:]


def _seam(text: bytes, low: int, high: int) -> int:
    if found := _SEAM.search(text, low, high):
        return found.end()
    while text[low] & 0xC0 == 0x80:  # inside of a character
        low += 1
    return low
