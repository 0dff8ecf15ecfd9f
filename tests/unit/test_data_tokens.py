"""Text becomes tokens and comes back, and the same text trains the same tokenizer."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.trainer.data.bpe import Bpe, train
from agents.trainer.data.documents import documents
from agents.trainer.data.files import File
from agents.trainer.data.tokens import END, Bytes, Tokenizer, dtype_for, hash_of

TEXTS = [
    f"The {name} of {index} lazy dogs jumps over <|end|> the brown fox.\n".encode() for index in range(50) for name in ("head", "tail")
]
BPE = train(TEXTS, 300)
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(text, max_size=5))
@pytest.mark.parametrize("tokenizer", [Bytes(), BPE], ids=["bytes", "bpe"])
def test_every_text_comes_back_and_none_has_the_separator(tokenizer: Tokenizer, texts: list[str]) -> None:
    encoded = tokenizer.encode([each.encode() for each in texts])

    assert [tokenizer.decode(tokens.tolist()) for tokens in encoded] == texts
    assert not any((tokens == tokenizer.separator).any() for tokens in encoded)
    assert all((tokens < tokenizer.vocabulary).all() for tokens in encoded)


@given(tokens=st.lists(st.integers(-(2**70), 2**70) | st.integers(0, 300)))
@pytest.mark.parametrize("tokenizer", [Bytes(), BPE], ids=["bytes", "bpe"])
def test_any_numbers_can_be_shown_as_text(tokenizer: Tokenizer, tokens: list[int]) -> None:
    tokenizer.decode(tokens).encode()


@pytest.mark.parametrize("tokenizer", [Bytes(), BPE], ids=["bytes", "bpe"])
def test_the_end_of_a_document_is_shown(tokenizer: Tokenizer) -> None:
    before, after = (tokens.tolist() for tokens in tokenizer.encode([b"before", b"after"]))

    assert tokenizer.decode([*before, tokenizer.separator, *after]) == f"before{END}after"


def test_what_a_document_says_about_the_end_is_text() -> None:
    (tokens,) = BPE.encode([END.encode()])

    assert BPE.separator not in tokens
    assert BPE.decode(tokens.tolist()) == END


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert Bytes().decode([0x61, 0xFF, 0x62, 256, 0xC3]) == "a\ufffdb\ufffd\ufffd"


def test_the_file_makes_the_same_tokenizer_in_the_library_that_others_use() -> None:
    library = tokenizers.Tokenizer.from_buffer(BPE.file)

    for each in ("The brown fox.", "Größe, 四 and \U0001f40d\n\n  x = 1"):
        (ours,) = BPE.encode([each.encode()])
        assert library.encode(each).ids == ours.tolist() == Bpe(BPE.file).encode([each.encode()])[0].tolist()
        assert library.decode(ours.tolist()) == each
    assert library.token_to_id(END) == BPE.separator
    assert library.get_vocab_size() == BPE.vocabulary == 300
    assert hash_of(BPE) == hashlib.sha256(BPE.file).hexdigest()


def test_the_same_text_trains_the_same_tokenizer_in_any_process() -> None:
    script = "from test_data_tokens import BPE; import sys; sys.stdout.buffer.write(BPE.file)"
    other = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parent, capture_output=True, check=True, timeout=60)

    assert other.stdout == BPE.file == train(TEXTS, 300).file
    assert train(TEXTS, 301).file != BPE.file


def test_a_small_text_trains_fewer_tokens_than_asked_for() -> None:
    assert 257 < train([b"ab ab ab"], 5000).vocabulary < 300


def test_no_text_at_all_leaves_the_bytes_and_the_end() -> None:
    assert train([], 257).vocabulary == 257


def test_a_file_without_an_end_token_is_refused() -> None:
    with pytest.raises(ValueError, match="no token"):
        Bpe(tokenizers.Tokenizer(tokenizers.models.BPE()).to_str().encode())


def test_the_parts_of_a_text_have_the_tokens_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.trainer.data.documents.PART", 1000)
    path = tmp_path / "long.txt"
    path.write_bytes(b"".join(TEXTS) * 3 + b"\n\n  \n" * 300 + "四 é\u3000x ".encode() * 1000)
    file = File(name=path.name, path=path, kind="text", size=path.stat().st_size, sha256="")
    (document,) = documents(file)

    parts = list(document.parts)

    assert len(parts) > 10
    (tokens,) = BPE.encode([path.read_bytes()])
    np.testing.assert_array_equal(np.concatenate(BPE.encode(parts)), tokens)


@pytest.mark.parametrize(("vocabulary", "size"), [(256, 1), (257, 2), (65536, 2), (65537, 4), (262144, 4)])
def test_tokens_take_as_few_bytes_as_their_number_allows(vocabulary: int, size: int) -> None:
    assert np.dtype(dtype_for(vocabulary)).itemsize == size
    assert np.array([vocabulary - 1]).astype(dtype_for(vocabulary))[0] == vocabulary - 1
