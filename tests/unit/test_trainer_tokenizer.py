"""A run reads the tokens that it was asked for, in a model of as many."""

import asyncio
import math
from dataclasses import replace
from pathlib import Path

import pytest
from compiled import MICRO
from corpora import write_texts

from agents.parts.recipes import RECIPES
from agents.trainer.agent import Trainer
from agents.trainer.data.tokens import Choice
from agents.trainer.plan import Settings, make_plan
from bus.errors import CommandRefused
from bus.store import Store
from bus.testing import Harness, run
from schemas import train


def planned(request: train.Start, **settings: object) -> tuple[Choice, int]:
    """The tokenizer of a run, and the vocabulary of its model."""
    plan = make_plan(request, Settings(recipe="micro", **settings))  # type: ignore[arg-type]
    return plan.tokenizer, plan.recipe.vocabulary


def test_bytes_are_the_default_and_keep_the_recipe() -> None:
    assert planned(train.Start()) == (Choice("bytes"), 256)
    assert make_plan(train.Start(), Settings(recipe="micro")).recipe == MICRO


def test_bpe_has_the_vocabulary_that_is_asked_for_and_so_has_the_model() -> None:
    assert planned(train.Start(tokenizer="bpe", vocabulary=300)) == (Choice("bpe", 300), 300)
    assert planned(train.Start(tokenizer="bpe")) == (Choice("bpe", 4096), 4096)
    assert planned(train.Start(), tokenizer="bpe", vocabulary=500) == (Choice("bpe", 500), 500)
    assert planned(train.Start(vocabulary=600), tokenizer="bpe", vocabulary=500) == (Choice("bpe", 600), 600)


def test_a_run_of_bytes_does_not_mind_the_vocabulary_in_the_settings() -> None:
    assert planned(train.Start(tokenizer="bytes"), tokenizer="bpe", vocabulary=500) == (Choice("bytes"), 256)


def test_a_recipe_with_a_vocabulary_of_its_own_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "micro", replace(MICRO, vocabulary=1000))

    assert planned(train.Start()) == (Choice("bytes"), 1000)
    assert planned(train.Start(tokenizer="bpe")) == (Choice("bpe", 1000), 1000)
    assert planned(train.Start(tokenizer="bpe", vocabulary=300)) == (Choice("bpe", 300), 300)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (train.Start(vocabulary=300), "vocabulary is 300: bytes are 256 tokens"),
        (train.Start(tokenizer="bpe", vocabulary=256), "vocabulary is 256: want 257 to 262144"),
        (train.Start(tokenizer="bpe", vocabulary=0), "vocabulary is 0: want"),
        (train.Start(tokenizer="bpe", vocabulary=262145), "vocabulary is 262145: want"),
    ],
)
def test_an_impossible_vocabulary_is_refused(request_: train.Start, reason: str) -> None:
    with pytest.raises(CommandRefused, match=reason) as refused:
        planned(request_)
    assert refused.value.code == "bad_request"


def test_a_run_on_bpe_tokens_says_so_and_judges_in_bits_per_byte(tmp_path: Path) -> None:
    text = write_texts(tmp_path / "texts", 400)

    async def scenario() -> Harness:
        settings = Settings(recipe="micro", steps=3, data=str(text), tokenizer="bpe", vocabulary=300)
        harness = Harness(Trainer, tmp_path / "artifacts", settings)
        await harness.start()
        while not harness.bus.published(train.RUN_COMPLETED):  # the training thread sets no asyncio event
            assert not harness.bus.published(train.RUN_FAILED)
            await asyncio.sleep(0.01)
        await harness.stop()
        return harness

    bus = run(scenario()).bus

    (begun,), (measured,) = bus.published(train.RUN_STARTED), bus.published(train.EVAL)
    first, *_ = bus.published(train.STEP)
    assert (begun.dataset.tokenizer, begun.dataset.vocabulary) == ("bpe", 300)
    assert first.loss == pytest.approx(math.log(300), abs=0.2)
    assert measured.bits_per_byte == pytest.approx(measured.loss / math.log(2) / (begun.dataset.bytes_per_token or 0))
    assert measured.bits_per_byte < 0.7 * measured.loss / math.log(2)
    assert bus.published(train.SAMPLED)[0].text
    assert (tmp_path / "cache" / "datasets").is_dir()
    assert Store(tmp_path / "artifacts").path(bus.published(train.CHECKPOINT)[0].hash).is_file()
