"""Tokens that were written come back, whatever the shards they lie in."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.trainer.data import shards
from agents.trainer.data.documents import Document
from agents.trainer.data.shards import Shard, Tokens, Writer
from agents.trainer.data.tokens import Bytes, Ids, dtype_for


@dataclass
class Numbers:
    """A tokenizer of as many tokens as wanted: a byte is a token near the end of the vocabulary."""

    vocabulary: int
    name: str = "numbers"
    separator: int = 0
    file: bytes | None = None

    def encode(self, texts: Sequence[bytes]) -> list[Ids]:
        return [np.frombuffer(text, np.uint8).astype(np.uint32) + (self.vocabulary - 256) for text in texts]

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(chr(token - self.vocabulary + 256) for token in tokens)


document = st.lists(st.binary(max_size=40), max_size=4)


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(document, max_size=8),
    shard=st.integers(1, 64),
    waiting=st.integers(1, 100),
    waiting_parts=st.integers(1, 10),
    vocabulary=st.sampled_from([256, 5000, 70_000]),
)
def test_what_was_written_is_read_from_any_place(
    tmp_path_factory: pytest.TempPathFactory, texts: list[list[bytes]], shard: int, waiting: int, waiting_parts: int, vocabulary: int
) -> None:
    folder, tokenizer = tmp_path_factory.mktemp("shards"), Numbers(vocabulary)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD", shard)
        patch.setattr(shards, "WAITING", waiting)
        patch.setattr(shards, "WAITING_PARTS", waiting_parts)
        writer = Writer(folder, "training", tokenizer)
        for parts in texts:
            writer.add(Document(0, parts))
        part = writer.close()

    stream = np.concatenate([np.append(tokenizer.encode([b"".join(parts)])[0], 0) for parts in texts if any(parts)] or [np.array([])])
    tokens = Tokens(folder, part, dtype_for(vocabulary))
    assert len(tokens) == part.tokens == len(stream)
    assert part.documents == sum(any(parts) for parts in texts)
    assert part.bytes == sum(len(text) for parts in texts for text in parts)
    for length in {1, 3, len(stream)} - {0}:
        starts = range(len(stream) - length + 1)
        expected = np.array([stream[start : start + length] for start in starts]).reshape(len(starts), length)
        np.testing.assert_array_equal(tokens.rows(starts, length), expected)


def test_shards_have_a_bounded_size_and_are_what_their_part_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD", 1000)
    writer = Writer(tmp_path, "held-out", Bytes())
    writer.add(Document(0, [b"x" * 2500]))

    part = writer.close()

    assert {name: shard.size for name, shard in part.shards.items()} == {
        "held-out-00000.bin": 1000,
        "held-out-00001.bin": 1000,
        "held-out-00002.bin": 501,
    }
    assert {path.name: Shard(size=path.stat().st_size, sha256=sha256(path.read_bytes()).hexdigest()) for path in tmp_path.iterdir()} == (
        part.shards
    )
    assert b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir())) == b"x" * 2500 + b"\0"


def test_wide_tokens_lie_there_in_little_endian(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "training", Numbers(1 << 16))
    writer.add(Document(0, [b"\x01"]))
    writer.close()

    assert (tmp_path / "training-00000.bin").read_bytes() == b"\x01\xff\0\0"
