"""Rendered pictures and their captions are batches to learn from, and pictures to write to."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import tokenizers
from compiled import SEEING
from corpora import quiet

from agents.parts.heldout import read
from agents.parts.targets import IGNORED
from agents.trainer.data.pictures import END, Examples, Pictures, examples_of
from agents.trainer.data.renderings import Order, Renderings, caption_of, rendered
from agents.trainer.data.scenes import WORDS
from agents.trainer.data.tokens import END as END_NAME
from bus.errors import CommandRefused
from schemas.train import Dataset

CONTEXT = SEEING.context


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Renderings:
    return rendered(Order(seed=5, count=40, size=32, held_out=False), tmp_path_factory.mktemp("cache"), quiet)


@pytest.fixture
def corpus(pictures: Renderings) -> Pictures:
    captions = [caption_of(row) for row in pictures.labels]
    examples = examples_of(pictures.images, captions, CONTEXT)
    dataset = Dataset(path="/", hash="0", tokenizer="words", vocabulary=14, files=1, training_tokens=1, heldout_tokens=1, split="")
    held_out = Examples(examples.images[:16], examples.tokens[:16], examples.targets[:16])
    return Pictures(examples, held_out, captions[:16], dataset, b"{}", 8, seed=0)


def test_a_caption_s_every_word_and_its_end_are_targets_and_nothing_else(corpus: Pictures) -> None:
    images, tokens, targets = corpus.training_batch(0)

    assert (images.shape, images.dtype, tokens.shape, targets.shape) == ((8, 32, 32, 3), np.uint8, (8, CONTEXT), (8, CONTEXT))
    for row, following in zip(tokens, targets, strict=True):
        counted = following[following != IGNORED]
        assert row[0] == counted[-1] == END
        assert corpus.decode(counted[:-1].tolist()).startswith("a ")
        np.testing.assert_array_equal(row[1 : len(counted)], counted[:-1])


def test_an_epoch_shows_every_picture_once_in_an_order_of_its_own(corpus: Pictures) -> None:
    def shown(first: int) -> list[bytes]:
        return [image.tobytes() for index in range(first, first + 5) for image in corpus.training_batch(index)[0]]

    assert corpus.epoch(5) == 1.0
    assert len(set(shown(0))) == 40
    assert sorted(shown(0)) == sorted(shown(5)) and shown(0) != shown(5)
    assert shown(5) == shown(5)


def test_a_sample_is_written_to_a_held_out_picture_by_its_number(corpus: Pictures) -> None:
    shown = corpus.shown(19)

    assert shown.picture == 3
    np.testing.assert_array_equal(shown.inputs[0], next(iter(corpus.held_out_batches()))[0][3])


def test_a_sample_shows_held_out_pictures_and_the_dataset_names_it(corpus: Pictures) -> None:
    images, tokens, targets = read(corpus.heldout_sample, corpus.dataset.vocabulary)

    assert corpus.dataset.heldout_sample == hashlib.sha256(corpus.heldout_sample).hexdigest()
    for place, part in enumerate((images, tokens, targets)):
        np.testing.assert_array_equal(part, np.concatenate([batch[place] for batch in corpus.held_out_batches()]))


def test_text_comes_back_from_its_tokens_and_a_strange_word_is_named(corpus: Pictures) -> None:
    text = "a red cube left of a blue sphere"

    assert corpus.encode(text)[0] == END
    assert corpus.decode(corpus.encode(text)[1:]) == text
    assert 3 < corpus.bytes_per_token < 5
    with pytest.raises(CommandRefused, match="no caption has the word 'dog'"):
        corpus.encode("a red dog")


def test_the_file_makes_the_same_tokens_in_the_library_that_others_use(corpus: Pictures) -> None:
    library = tokenizers.Tokenizer.from_buffer(corpus.tokenizer_file)

    for text in ("", "a red cube left of a blue sphere", " ".join(WORDS)):
        assert library.encode(text).ids == corpus.encode(text)
        assert library.decode(corpus.encode(text)) == text
    assert library.id_to_token(END) == END_NAME
    with pytest.raises(Exception, match="Missing"):
        library.encode("a red dog")
