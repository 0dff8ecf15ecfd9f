"""Text comes in pieces that together are all of it, and ends where it was asked to."""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiled import MICRO
from exported import write_exported
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Library
from tokenizers import models

from agents.exporter.tokenizer import byte_tokenizer
from agents.parts.external_data import BadModel
from agents.parts.generation import tokenizer as module
from agents.parts.generation.errors import BadRequest
from agents.parts.generation.pieces import Pieces
from agents.parts.generation.sampling import Sampling
from agents.parts.generation.text import Request, TextModel, Written
from agents.parts.generation.tokenizer import Tokenizer
from agents.parts.generation.tokens import generate
from agents.parts.model import initial_weights
from agents.trainer.data import bpe

STOPS = st.lists(st.text("ab🙂", min_size=1, max_size=4), max_size=3)
BYTES = Tokenizer(byte_tokenizer().to_str().encode())
TRAINED = bpe.train([b"the quick brown fox jumps over the lazy dog " * 20, "Grüße, 日本 🙂".encode() * 20], 300)
SAMPLED = Sampling(temperature=1.0, seed=1)


def shown(parts: Sequence[bytes], stops: Sequence[str] = ()) -> list[str]:
    """What is shown of parts of a text, up to its end or a stop."""
    pieces, texts = Pieces(stops), []
    for part in parts:
        texts.append(pieces.add(part))
        if pieces.stopped:
            return texts
    return [*texts, pieces.add(b"", final=True)]


def before_a_stop(text: str, stops: Sequence[str]) -> str:
    """By its definition: before the longest of the stops that are complete first."""
    for end in range(len(text) + 1):
        if found := [stop for stop in stops if text[:end].endswith(stop)]:
            return text[: end - max(map(len, found))]
    return text


@given(st.lists(st.binary(max_size=3)))
def test_pieces_of_any_bytes_are_together_their_text(parts: list[bytes]) -> None:
    assert "".join(shown(parts)) == b"".join(parts).decode(errors="replace")


@given(st.text("aß日🙂"))
def test_no_piece_has_half_a_character(text: str) -> None:
    pieces = shown([bytes([byte]) for byte in text.encode()])

    assert [piece for piece in pieces if piece] == list(text)


@given(st.lists(st.text("ab🙂", max_size=3)), STOPS)
def test_a_text_ends_before_the_stop_that_is_complete_first(parts: list[str], stops: list[str]) -> None:
    expected = before_a_stop("".join(parts), stops)

    assert "".join(shown([part.encode() for part in parts], stops)) == expected
    assert "".join(shown([bytes([byte]) for byte in "".join(parts).encode()], stops)) == expected


def test_what_turns_out_to_be_no_stop_is_shown() -> None:
    assert shown([b"a", b"<", b"e", b"<", b"end", b">", b"b"], ["<end>"]) == ["a", "", "", "<e", "", ""]


@given(st.text())
def test_a_tokenizer_of_bytes_reads_bytes(text: str) -> None:
    assert BYTES.encode(text) == list(text.encode())


@given(st.text() | st.lists(st.sampled_from(["<|end|>", "the", " ", "🙂"])).map("".join))
def test_a_trained_tokenizer_reads_as_in_training(text: str) -> None:
    assert TRAINED.file is not None
    assert Tokenizer(TRAINED.file).encode(text) == TRAINED.encode([text.encode()])[0].tolist()


@given(st.lists(st.integers(0, 310)))
def test_tokens_are_the_text_that_the_library_makes_of_them(tokens: list[int]) -> None:
    tokenizer = Tokenizer(TRAINED.file or b"")

    assert "".join(shown([tokenizer.bytes_of(token) for token in tokens])) == TRAINED.decode(tokens)


@given(st.binary())
def test_bytes_are_the_text_that_the_library_makes_of_them(tokens: bytes) -> None:
    assert "".join(shown([BYTES.bytes_of(token) for token in tokens])) == byte_tokenizer().decode(list(tokens), skip_special_tokens=False)


def test_a_special_token_is_the_text_that_it_is_written_as() -> None:
    library = byte_tokenizer()
    library.add_special_tokens(["end of 日"])

    tokenizer = Tokenizer(library.to_str().encode())

    said = b"".join(map(tokenizer.bytes_of, [97, 256, 98])).decode()
    assert said == library.decode([97, 256, 98], skip_special_tokens=False) == "aend of 日b"


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", "not a tokenizer.json"),
        (b"\xff" * 100, "not a tokenizer.json"),
        (b"[" * 10_000, "not a tokenizer.json"),
        (Library(models.WordLevel({"a": 0}, "a")).to_str().encode(), "byte-level"),
    ],
)
def test_what_is_no_byte_level_tokenizer_is_refused(file: bytes, reason: str) -> None:
    with pytest.raises(BadModel, match=reason):
        Tokenizer(file)


def test_a_tokenizer_beyond_the_bound_is_not_parsed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 100)

    with pytest.raises(BadModel, match="more than the 100 bytes"):
        TextModel.open(folder)


def changed(folder: Path, **parts: object) -> bytes:
    """The folder's tokenizer.json with other parts."""
    return json.dumps(json.loads((folder / "tokenizer.json").read_text()) | parts).encode()


def test_a_panic_of_the_library_is_an_error_like_any_other(folder: Path) -> None:
    with pytest.raises((BadModel, BadRequest)):  # a panic is no Exception
        Tokenizer(changed(folder, pre_tokenizer={"type": "FixedLength", "length": 0})).encode("a text")


def test_a_prompt_is_neither_cut_nor_filled_up_whatever_the_file_says(folder: Path) -> None:
    cut = {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
    filled = {"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "a"}

    assert len(Tokenizer(changed(folder, truncation=cut)).encode("a text of 21 letters.")) == 21
    assert len(Tokenizer(changed(folder, padding=filled)).encode("hi")) == 2


def test_a_pipe_in_the_place_of_a_file_is_refused_at_once(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "tokenizer.json")

    with pytest.raises(BadModel, match="no plain file"):
        Tokenizer.open(tmp_path)


def test_a_prompt_with_half_a_surrogate_is_read_or_refused(folder: Path) -> None:
    request = Request(prompt="a\ud800b", length=1, sampling=Sampling(temperature=0))

    with suppress(BadRequest):
        list(TextModel.open(folder).write(request))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_exported(tmp_path_factory.mktemp("export") / "export", MICRO, initial_weights(MICRO, 0))


@pytest.fixture(scope="module")
def model(folder: Path) -> TextModel:
    return TextModel.open(folder)


def written(
    model: TextModel, prompt: str | Sequence[int] = "Hello", length: int = 40, stops: Sequence[str] = (), sampling: Sampling = SAMPLED
) -> Written:
    writing = model.write(Request(prompt=prompt, length=length, stops=stops, sampling=sampling))
    pieces = list(writing)
    assert "".join(pieces) == writing.written.text
    return writing.written


def test_a_text_has_its_length_in_tokens(model: TextModel) -> None:
    whole = written(model, length=40)

    assert (whole.finish, whole.prompt_tokens, whole.tokens) == ("length", 5, 40)
    assert whole.first_token_seconds is not None and whole.first_token_seconds > 0
    assert whole.tokens_per_second is not None and whole.tokens_per_second > 0


def test_one_token_has_no_rate(model: TextModel) -> None:
    whole = written(model, length=1)

    assert (whole.tokens, whole.tokens_per_second) == (1, None)


def test_a_text_ends_before_a_stop_text_of_several_tokens(model: TextModel) -> None:
    free = written(model).text
    stop = free[20:23]
    assert stop not in free[:22]

    whole = written(model, stops=["never", stop])

    assert (whole.finish, whole.text) == ("stop", free[:20])
    assert whole.tokens < 40


def test_a_text_ends_with_its_document(model: TextModel, tmp_path: Path) -> None:
    tokens = [int(token) for (token,) in islice(generate(model.decoder, np.array([list(b"Hello")]), SAMPLED), 40)]
    end = tokens[20]
    length = tokens.index(end)
    ending = TextModel.open(write_exported(tmp_path / "export", MICRO, initial_weights(MICRO, 0), end=end))

    whole = written(ending)

    assert (whole.finish, whole.tokens, whole.text) == (
        "end",
        length,
        b"".join(map(model.tokenizer.bytes_of, tokens[:length])).decode(errors="replace"),
    )


def test_behind_an_empty_prompt_a_document_begins(model: TextModel, tmp_path: Path) -> None:
    documents = TextModel.open(write_exported(tmp_path / "export", MICRO, initial_weights(MICRO, 0), end=0))

    assert written(documents, prompt="").prompt_tokens == 1
    with pytest.raises(BadRequest, match="no token behind which a document begins"):
        model.write(Request(prompt="", length=1, sampling=SAMPLED))


def test_a_prompt_may_be_its_tokens(model: TextModel) -> None:
    assert written(model, prompt=list(b"Hello")).text == written(model, prompt="Hello").text
    with pytest.raises(BadRequest, match="the model has 0 to"):
        written(model, prompt=[72, 100_000])


def test_a_text_is_written_only_as_it_is_read(model: TextModel) -> None:
    writing = model.write(Request(prompt="Hello", length=10**12, sampling=SAMPLED))

    assert len(list(islice(writing, 3))) == 3
    with pytest.raises(LookupError, match="not ended"):
        _ = writing.written


def test_the_seed_decides(model: TextModel) -> None:
    assert written(model).text == written(model).text != written(model, sampling=Sampling(temperature=1.0, seed=2)).text


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"prompt": "é" * (1 << 20)}, "at most 1048576"),
        ({"prompt": [0] * ((1 << 20) + 1)}, "1048577 tokens: at most 1048576"),
        ({"prompt": [5, -1]}, "from -1 to 5"),
        ({"prompt": [1 << 70]}, "0 to 2147483647"),
        ({"length": 0}, "length is 0"),
        ({"stops": [""]}, "stop text"),
        ({"stops": ["a" * 257]}, "stop text"),
        ({"stops": ["a"] * 17}, "17 stop texts"),
    ],
)
def test_a_request_beyond_a_bound_is_refused(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        Request(**{"prompt": "Hello", "length": 1, "sampling": SAMPLED, **wrong})
