"""A corpus of text gives each token as a target once an epoch, in an order that the seed decides, and the same text to judge by."""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
from corpora import CONTEXT, opened, whole, write_rows, write_texts
from numpy.typing import NDArray

from agents.parts.heldout import read
from agents.trainer.data.corpus import EVAL_BATCHES, BadData, Corpus
from agents.trainer.data.text import TextCorpus
from agents.trainer.data.tokens import Choice

BATCH = 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "texts")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def corpus(folder: Path, cache: Path) -> TextCorpus:
    return opened(folder, cache)


def numbered(tmp_path: Path, tokens: int) -> TextCorpus:
    """A corpus whose training part has this many tokens."""
    text = "".join(chr(33 + index % 90) for index in range(tokens - 1))
    (tmp_path / "rows.jsonl").unlink(missing_ok=True)
    kept = next(f"{'h' * 40} {index}" for index in range(10_000) if _draw(f"{'h' * 40} {index}") % 20 == 0)
    moved = next(text + tail for tail in ("", "!", "!!") if _draw(text + tail) % 20)
    return opened(write_rows(tmp_path / "rows.jsonl", [{"text": moved}, {"text": kept}]), tmp_path / "cache")


def _draw(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def test_a_corpus_of_text_is_a_corpus(corpus: TextCorpus) -> None:
    as_the_loop_sees_it: Corpus = corpus

    assert as_the_loop_sees_it.skipped == 0


def test_documents_follow_each_other_with_a_separator_after_each(folder: Path, corpus: TextCorpus) -> None:
    training, held_out = whole(corpus)

    assert training.count(b"\0") + held_out.count(b"\0") == corpus.dataset.files == corpus.dataset.documents == 60
    assert sorted(training.split(b"\0")[:-1] + held_out.split(b"\0")[:-1]) == sorted(path.read_bytes() for path in folder.rglob("*.txt"))


def test_the_dataset_says_how_large_it_is(corpus: TextCorpus) -> None:
    dataset = corpus.dataset

    assert (dataset.training_tokens, dataset.heldout_tokens) == tuple(map(len, whole(corpus)))
    assert (dataset.tokenizer, dataset.vocabulary, dataset.separator, dataset.tokenizer_hash) == ("bytes", 256, 0, None)
    assert dataset.bytes_per_token == corpus.bytes_per_token == (dataset.heldout_bytes or 0) / dataset.heldout_tokens < 1
    assert dataset.manifest == hashlib.sha256(corpus.manifest()).hexdigest()
    assert json.loads(corpus.manifest())["hash"] == dataset.hash


def test_a_batch_is_tokens_and_the_ones_that_follow(corpus: TextCorpus) -> None:
    for tokens, targets in (corpus.training_batch(7), *corpus.held_out_batches()):
        assert tokens.shape == targets.shape == (BATCH, CONTEXT)
        assert tokens.dtype == targets.dtype == np.int32
        assert tokens.flags.c_contiguous and targets.flags.c_contiguous
        np.testing.assert_array_equal(tokens[:, 1:], targets[:, :-1])


def test_every_token_is_a_target_once_an_epoch_but_for_the_first_and_the_tail(tmp_path: Path) -> None:
    for tokens in (CONTEXT * 20 + 1, CONTEXT * 20 + 2, CONTEXT * 21):
        corpus = numbered(tmp_path, tokens)
        training = np.frombuffer(whole(corpus)[0], np.uint8)
        rows = (len(training) - 1) // CONTEXT
        targets = np.concatenate([corpus.training_batch(index)[1] for index in range(-(-rows // BATCH))])[:rows]

        assert sorted(targets.ravel()) == sorted(training[1 : 1 + rows * CONTEXT])


def test_the_seed_and_the_number_decide_a_batch_and_nothing_else(folder: Path, cache: Path, corpus: TextCorpus) -> None:
    in_order = [corpus.training_batch(index) for index in range(40)]
    again = opened(folder, cache)

    for index in (39, 3, 17):
        np.testing.assert_array_equal(again.training_batch(index), in_order[index])
    assert not np.array_equal(opened(folder, cache, seed=1).training_batch(3), in_order[3])


def test_epochs_count_what_was_seen(corpus: TextCorpus) -> None:
    rows = (corpus.dataset.training_tokens - 1) // CONTEXT

    assert corpus.epoch(0) == 0
    assert corpus.epoch(rows) == BATCH
    assert not np.array_equal(corpus.training_batch(0), corpus.training_batch(rows))


def windows(corpus: TextCorpus) -> list[NDArray[np.int32]]:
    return [np.append(tokens, targets[-1]) for batch in corpus.held_out_batches() for tokens, targets in zip(*batch, strict=True)]


def test_held_out_batches_are_the_same_each_time_and_span_the_text(tmp_path: Path, cache: Path) -> None:
    text = "".join(chr(33 + index * index % 90) for index in range(20 * 4000))
    (tmp_path / "book.txt").write_text(text)
    corpus = opened(tmp_path / "book.txt", cache)
    held_out = np.frombuffer(whole(corpus)[1], np.uint8)

    first, second = windows(corpus), windows(corpus)

    np.testing.assert_array_equal(first, second)
    assert len(first) == EVAL_BATCHES * BATCH
    np.testing.assert_array_equal(first[0], held_out[: CONTEXT + 1])
    np.testing.assert_array_equal(first[-1], held_out[-CONTEXT - 1 :])


@pytest.mark.parametrize(("tokens", "batches"), [(17, 1), (33, 1), (49, 2), (200, 6), (5000, 16)])
def test_a_short_held_out_text_is_seen_in_fewer_batches_of_the_same_shape(tmp_path: Path, cache: Path, tokens: int, batches: int) -> None:
    (tmp_path / "book.txt").write_text("x" * 19 * (tokens - 1) + "".join(chr(33 + index % 90) for index in range(tokens - 1)))
    corpus = opened(tmp_path / "book.txt", cache)
    assert corpus.dataset.heldout_tokens == tokens

    seen = list(corpus.held_out_batches())

    assert len(seen) == batches
    assert {array.shape for batch in seen for array in batch} == {(BATCH, CONTEXT)}


def test_a_sample_is_the_first_of_the_held_out_rows_and_the_dataset_names_it(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "book.txt").write_text("".join(chr(33 + index * index % 90) for index in range(20 * 4000)))
    corpus = opened(tmp_path / "book.txt", cache, batch=6)

    tokens, targets = read(corpus.heldout_sample, corpus.dataset.vocabulary)

    expected = [np.append(row, following[-1]) for row, following in zip(tokens, targets, strict=True)]
    np.testing.assert_array_equal(windows(corpus)[:64], expected)
    assert corpus.dataset.heldout_sample == hashlib.sha256(corpus.heldout_sample).hexdigest()
    assert corpus.heldout_sample == opened(tmp_path / "book.txt", cache, batch=6, seed=1).heldout_sample


def test_every_held_out_token_is_judged_where_the_batches_reach(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "book.txt").write_text("x" * 19 * 90 + "".join(chr(33 + index) for index in range(90)))
    corpus = opened(tmp_path / "book.txt", cache)

    assert {int(token) for window in windows(corpus) for token in window} == {0, *range(33, 123)}


@pytest.mark.parametrize(
    ("text", "reason"), [("", "0 tokens of training text"), ("short", "6 tokens of training text"), ("x" * 300, "held-out")]
)
def test_a_text_that_is_too_short_is_refused_with_its_length(tmp_path: Path, cache: Path, text: str, reason: str) -> None:
    (tmp_path / "book.txt").write_text(text)

    with pytest.raises(BadData, match=f"book.txt has .*{reason}.*: a context of 16 needs more"):
        opened(tmp_path / "book.txt", cache)


def test_a_prompt_becomes_tokens_and_tokens_text(corpus: TextCorpus) -> None:
    assert corpus.encode("aé") == [0x61, 0xC3, 0xA9]
    assert corpus.decode([0x61, 0xC3, 0xA9, 0]) == "aé<|end|>"
    assert corpus.encode("\ud800") == [ord("?")]


def test_without_a_prompt_a_document_begins(folder: Path, cache: Path, corpus: TextCorpus) -> None:
    for each in (corpus, opened(folder, cache, Choice("bpe", 300))):
        assert each.encode("") == [each.dataset.separator]


def test_bits_per_byte_do_not_depend_on_the_tokenizer(folder: Path, cache: Path, corpus: TextCorpus) -> None:
    """Of a model that knows nothing: it gives each token of the held-out text the same number of nats."""
    coarse = opened(folder, cache, Choice("bpe", 300))
    assert coarse.bytes_per_token > 2 * corpus.bytes_per_token
    assert coarse.dataset.heldout_bytes == corpus.dataset.heldout_bytes
    for each in (corpus, coarse):
        nats_of_all = each.dataset.heldout_tokens * 2.0
        assert 2.0 / math.log(2) / each.bytes_per_token == pytest.approx(nats_of_all / math.log(2) / (each.dataset.heldout_bytes or 0))


def test_bpe_is_said_with_its_hash_and_reads_back(folder: Path, cache: Path) -> None:
    corpus = opened(folder, cache, Choice("bpe", 300))
    dataset = corpus.dataset

    assert corpus.tokenizer.file is not None
    assert dataset.tokenizer_hash == hashlib.sha256(corpus.tokenizer.file).hexdigest()
    assert (dataset.tokenizer, dataset.vocabulary) == ("bpe", corpus.tokenizer.vocabulary)
    shown = corpus.decode(corpus.training.rows([0], len(corpus.training))[0].tolist())
    assert shown.split("<|end|>")[:-1] == [text for text in shown.split("<|end|>") if text.endswith("is a number. ")]


def test_files_that_were_left_out_are_counted(folder: Path, cache: Path) -> None:
    (folder / "image.png").write_bytes(b"\x89PNG\0")

    assert opened(folder, cache).skipped == 1
