"""Whoever reads an exported folder's tokenizer makes the tokens that the model has learnt."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from compiled import MICRO, SEEING
from hf_folder import dataset, judged, written
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from agents.exporter import tokenizer
from agents.exporter.tokenizer import NoTokenizer, Tokens, byte_names, byte_tokenizer, tokenizer_files, tokens_of
from agents.trainer.data import bpe, words
from agents.trainer.data.scenes import WORDS
from bus.store import Store

BYTES = byte_tokenizer()
BPE = bpe.train([b"The quick brown fox jumps over the lazy dog.\n" * 50], 300)
COARSE = replace(MICRO, vocabulary=300)
TEXTS = [
    "", " two  spaces ", "n't 'll\r\n\t\n\n", "Āā\u0100 Größe", "四 \U0001f40d\U0001f468\u200d\U0001f469 e\u0301",
    "<|end|> </s>", "x" * 3000, "\0a\0",
]  # fmt: skip


@given(text=st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(TEXTS))
def test_a_token_is_a_byte_and_bytes_come_back(text: str) -> None:
    tokens = BYTES.encode(text).ids

    assert tokens == list(text.encode())
    assert BYTES.decode(tokens, skip_special_tokens=False) == BYTES.decode(tokens) == text


@given(data=st.binary())
def test_bytes_that_are_no_text_are_shown_as_python_shows_them(data: bytes) -> None:
    assert BYTES.decode(list(data)) == data.decode(errors="replace")


def test_every_byte_has_the_character_that_gpt_2_has_for_it() -> None:
    assert set(byte_names()) == set(pre_tokenizers.ByteLevel.alphabet())
    assert sorted(byte_names().values()) == list(range(256))
    assert (byte_names()["Ġ"], byte_names()["Ċ"], byte_names()["a"]) == (ord(" "), ord("\n"), ord("a"))


def kept(store: Path, file: bytes, kind: str = "bpe", separator: int | None = 0) -> Tokens:
    """The tokens of a run that kept this tokenizer.json."""
    return tokens_of(dataset(kind, separator, Store(store).put(file).hash), COARSE, Store(store))


def test_a_trained_tokenizer_goes_along_byte_by_byte(tmp_path: Path) -> None:
    tokens = kept(tmp_path, BPE.file, separator=BPE.separator)

    assert tokenizer_files(tokens, 32)["tokenizer.json"] == BPE.file
    assert (tokens.end, tokens.end_name) == (BPE.separator, "<|end|>")


def test_the_words_of_captions_go_along(tmp_path: Path) -> None:
    tokens = kept(tmp_path, words.tokenizer_file(), "words", words.END)

    library = tokenizers.Tokenizer.from_buffer(tokenizer_files(tokens, 9)["tokenizer.json"])

    assert library.encode("a red cube above a cyan cone").ids == [0, 1, 2, 8, 13, 1, 7, 10]
    assert (tokens.end, tokens.end_name) == (0, "<|end|>")


def test_transformers_makes_the_same_bytes(judge: Path, tmp_path: Path) -> None:
    folder = written(tmp_path, MICRO)

    said, _ = judged(judge, folder, {"input_ids": np.zeros((1, 4), np.int32)}, TEXTS)

    assert said["ids"] == [list(text.encode()) for text in TEXTS]
    assert said["decoded"] == TEXTS
    assert (said["tokens"], said["longest"]) == (256, 32)


def test_transformers_makes_the_same_tokens_of_a_trained_tokenizer(judge: Path, tmp_path: Path) -> None:
    folder = written(tmp_path, COARSE, tokens=kept(tmp_path, BPE.file, separator=BPE.separator))
    texts = [*TEXTS, "The quick brown fox"]

    said, _ = judged(judge, folder, {"input_ids": np.zeros((1, 4), np.int32)}, texts)

    assert said["ids"] == [ids.tolist() for ids in BPE.encode([text.encode() for text in texts])]
    assert said["decoded"] == texts
    assert said["end"] == [BPE.separator] * 3


def test_transformers_makes_the_same_words(judge: Path, tmp_path: Path) -> None:
    folder = written(tmp_path, SEEING, tokens=kept(tmp_path, words.tokenizer_file(), "words", words.END))

    said, _ = judged(judge, folder, {"input_ids": np.zeros((1, 4), np.int32)}, ["", " ".join(WORDS)])

    assert said["ids"] == [[words.END], [words.END, *words.TOKENS.values()]]
    assert said["decoded"] == ["<|end|>", f"<|end|> {' '.join(WORDS)}"]


def test_no_byte_is_a_special_token(tmp_path: Path) -> None:
    files = tokenizer_files(tokens_of(dataset(), MICRO, Store(tmp_path)), 32)

    assert not json.loads(files["tokenizer_config.json"]).keys() & {"bos_token", "eos_token", "pad_token", "unk_token"}
    assert json.loads(files["special_tokens_map.json"]) == {}
    assert json.loads(files["tokenizer.json"])["added_tokens"] == []


def test_a_run_that_did_not_keep_its_tokens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoTokenizer, match="train it again"):
        tokens_of(dataset("words", None), SEEING, Store(tmp_path))
    with pytest.raises(NoTokenizer, match="is gone"):
        tokens_of(dataset("bpe", 0, "0" * 64), COARSE, Store(tmp_path))


def test_a_tokenizer_that_does_not_fit_the_model_is_refused(tmp_path: Path) -> None:
    for separator in (None, -1, 290):
        with pytest.raises(NoTokenizer, match="no token"):
            kept(tmp_path, BPE.file, separator=separator)
    with pytest.raises(NoTokenizer, match="290 tokens and its model 256"):
        tokens_of(dataset("bpe", 0, Store(tmp_path).put(BPE.file).hash), MICRO, Store(tmp_path))


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in (b"", b"{}", b"\xff", b"[" * 100_000):
        with pytest.raises(NoTokenizer, match=r"not a tokenizer\.json"):
            kept(tmp_path, file)
    monkeypatch.setattr(tokenizer, "LIMIT", 100)
    with pytest.raises(NoTokenizer, match="at most 100"):
        kept(tmp_path, BPE.file)
