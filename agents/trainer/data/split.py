"""Which documents are kept from training to judge by: each one's own hash decides, so that others never move it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from agents.trainer.data.documents import Document, documents, draw, read_parts
from agents.trainer.data.files import File, must_be_unchanged

HELD_OUT = 20
"""One document in so many is held out; of a single text, the last part in so many."""


@dataclass(frozen=True, slots=True)
class Split:
    """The split of some files' documents. `moved` is the number of the one that stands on the other side than its hash says."""

    files: list[File]
    moved: int | None = None

    def documents(self) -> Iterator[tuple[Document, bool]]:
        """Every document, and whether it is held out. Raises BadData, also where a file is no longer what was hashed; OSError."""
        numbers = itertools.count()
        for file in self.files:
            drawn = _halves(file) if self._one_text else ((each, each.draw % HELD_OUT == 0) for each in documents(file))
            yield from ((each, held_out != (number == self.moved)) for (each, held_out), number in zip(drawn, numbers, strict=False))
            must_be_unchanged(file)

    @property
    def words(self) -> str:
        """How it is split, for people."""
        if self._one_text:
            return f"the last {HELD_OUT}th of the one file"
        rows = any(file.kind != "text" for file in self.files)
        texts = any(file.kind == "text" for file in self.files)
        ways = ["by file: SHA-256 of its name"] * texts + ["by document: SHA-256 of its text"] * rows
        return f"{'; '.join(ways)}, one in {HELD_OUT} held out"

    @property
    def _one_text(self) -> bool:
        return [file.kind for file in self.files] == ["text"]


@dataclass(slots=True)
class Draws:
    """What the documents of a split drew, to find the one that must change sides where all text fell on one."""

    training: int = 0
    held_out: int = 0
    least: tuple[int, int] | None = None  # with its number, by which copies are told apart
    most: tuple[int, int] | None = None

    def count(self, number: int, document: Document, held_out: bool) -> None:
        """Take in one document that has text, and which one it is of all."""
        self.held_out += held_out
        self.training += not held_out
        drawn = (document.draw, number)
        self.least = min(self.least or drawn, drawn)
        self.most = max(self.most or drawn, drawn)

    @property
    def to_move(self) -> int | None:
        """The number of the document that must change sides, so that none is empty; None where none is, or nothing can be done."""
        if self.training + self.held_out < 2 or (self.training and self.held_out):
            return None
        found = self.most if self.held_out else self.least
        return found and found[1]


def _halves(file: File) -> Iterator[tuple[Document, bool]]:
    """A single text as two: what is learnt from, and its end."""
    cut = _start_of_character(file, file.size - file.size // HELD_OUT)
    for start, end in ((0, cut), (cut, file.size)):
        yield Document(draw(b""), read_parts(file.path, start, end)), start == cut


def _start_of_character(file: File, position: int) -> int:
    """The last position, up to this one, at which a character of UTF-8 begins, or the file ends."""
    if position >= file.size:
        return position
    with file.path.open("rb") as opened:
        opened.seek(max(0, position - 3))
        before = opened.read(min(4, position + 1))
    while before and before[-1] & 0xC0 == 0x80:
        before, position = before[:-1], position - 1
    return position
