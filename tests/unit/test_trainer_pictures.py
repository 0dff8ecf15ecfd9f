"""A run over pictures, from the renderer to the checkpoint, seen through the events and answers of the agent."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from compiled import SEEING

from agents.parts.recipes import RECIPES, shapes
from agents.trainer.agent import Trainer
from agents.trainer.checkpoint import load
from agents.trainer.data import pictures
from agents.trainer.data.scenes import CAPTIONS
from agents.trainer.data.tokens import Choice
from agents.trainer.plan import Settings, make_plan
from bus.errors import CommandRefused
from bus.store import Store
from bus.testing import Harness, run
from schemas import train
from schemas.system import ARTIFACT

STEPS = 4
LEARNING = """
import sys
from pathlib import Path
from agents.parts.model import initial_weights
from agents.parts.recipes import Recipe, Vision
from agents.parts.compiler import open_device
from agents.trainer.plan import Settings, make_plan
from schemas.train import Start

device = open_device()
from agents.trainer.devices import implementation_for
from agents.trainer.learner import Learner
from agents.trainer.data.pictures import open_pictures
from agents.trainer.schedule import learning_rate
from agents.trainer.state import State

vision = Vision(image=16, patch=4, width=48, layers=2, heads=4, ffn=128)
recipe = Recipe(
    name="seer", layers=2, width=48, heads=4, kv_heads=2, ffn=128, vocabulary=16, context=9, batch=32, learning_rate=4e-3, vision=vision
)
hyper = make_plan(Start(recipe="vlm", steps=400), Settings()).hyper
corpus = open_pictures(recipe, 0, Path(sys.argv[1]), lambda _: None)
learner = Learner(recipe, hyper, implementation_for(device), State.begun(initial_weights(recipe, 0)))
for index in range(hyper.steps):
    learner.step([corpus.training_batch(index)], learning_rate(index + 1, hyper))
print(learner.accuracy(corpus.held_out_batches()), corpus.chance)
"""
"""Trains a small model that sees, with kernels as fast as a run's, and prints its accuracy and that of guessing."""


@pytest.fixture(scope="module")
def few_pictures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setitem(RECIPES, SEEING.name, SEEING)
        patch.setattr(pictures, "TRAINING", 40)
        patch.setattr(pictures, "HELD_OUT", 8)
        yield


@pytest.fixture(scope="module")
def finished(few_pictures: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Harness[Trainer], Path, list[train.Sampled]]:
    """An agent whose run is over, its artifacts, and what it then wrote to two pictures."""
    artifacts = tmp_path_factory.mktemp("artifacts")

    async def to_its_end() -> tuple[Harness[Trainer], Path, list[train.Sampled]]:
        settings = Settings(recipe=SEEING.name, steps=STEPS, eval_every=0, sample_every=0, checkpoint_every=0)
        harness = Harness(Trainer, artifacts, settings)
        await harness.start()
        while harness.agent.worker.busy:  # noqa: ASYNC110  # the training thread sets no asyncio event
            await asyncio.sleep(0.01)
        assert not harness.bus.published(train.RUN_FAILED)
        requests = (train.Sample(picture=1, temperature=0.0, length=4), train.Sample(prompt="a red", seed=2, length=4))
        written = [await harness.call(train.SAMPLE, request) for request in requests]
        await harness.stop()
        return harness, artifacts, written

    return asyncio.run(asyncio.wait_for(to_its_end(), 110))  # on a busy machine compiling takes more than the minute of `run`


Finished = tuple[Harness[Trainer], Path, list[train.Sampled]]


def test_the_start_says_what_rendered_the_pictures(finished: Finished) -> None:
    (begun,) = finished[0].bus.published(train.RUN_STARTED)

    assert begun.dataset.renderer == "Panda3D 1.10.16 p3tinydisplay"
    assert (begun.dataset.files, begun.parameters) == (48, SEEING.parameters)


def test_an_evaluation_says_its_accuracy_beside_that_of_guessing(finished: Finished) -> None:
    (measured,) = finished[0].bus.published(train.EVAL)

    assert measured.chance == 1 / CAPTIONS
    assert measured.accuracy is not None and 0 <= measured.accuracy <= 1
    assert measured.tokens == 8 * SEEING.context


def test_the_loss_falls(finished: Finished) -> None:
    losses = [step.loss for step in finished[0].bus.published(train.STEP)]

    assert losses[0] == pytest.approx(np.log(256), abs=0.2)
    assert losses == sorted(losses, reverse=True)


def test_a_sample_is_the_caption_of_the_picture_that_was_asked_for(finished: Finished) -> None:
    by_picture, by_seed = finished[2]

    assert (by_picture.picture, by_picture.prompt, by_seed.picture, by_seed.prompt) == (1, "", 2, "a red")
    assert by_picture.caption is not None and by_picture.caption.startswith("a ")
    assert by_picture.text and len(by_seed.text.split()) <= 4
    assert [sampled.picture for sampled in finished[0].bus.published(train.SAMPLED)] == [STEPS, 1, 2]


def test_the_checkpoint_holds_the_encoder_and_comes_back(finished: Finished) -> None:
    harness, artifacts, _ = finished
    last = harness.bus.published(train.CHECKPOINT)[-1]

    content, weights = load(last.meta_hash, Store(artifacts))

    assert content.recipe == SEEING
    assert {name: array.shape for name, array in weights.items()} == shapes(SEEING)
    assert "vision.projector.weight" in weights


def test_the_words_of_the_captions_are_kept_with_it(finished: Finished) -> None:
    harness, artifacts, _ = finished
    content, _ = load(harness.bus.published(train.CHECKPOINT)[-1].meta_hash, Store(artifacts))

    kept = [artifact.hash for artifact in harness.bus.published(ARTIFACT) if artifact.kind == "tokenizer"]

    assert kept == [content.dataset.tokenizer_hash]
    assert b'"sphere"' in Store(artifacts).read(kept[0])


def test_a_run_can_start_from_it(finished: Finished) -> None:
    harness, artifacts, _ = finished
    content, _ = load(harness.bus.published(train.CHECKPOINT)[-1].meta_hash, Store(artifacts))

    plan = make_plan(train.Start(), Settings(), content)

    assert (plan.recipe, plan.tokenizer) == (SEEING, Choice("bytes"))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_captions_that_were_never_read_are_right_far_more_often_than_by_guessing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LEARNING, str(tmp_path)]
    done = subprocess.run(command, env={**os.environ, "NOOPT": "0"}, capture_output=True, text=True, check=True, timeout=380)

    accuracy, chance = map(float, done.stdout.split())
    assert chance == 1 / CAPTIONS
    assert accuracy > 10 * chance


def test_a_model_that_sees_takes_no_data_of_others(few_pictures: None, tmp_path: Path) -> None:
    async def scenario() -> None:
        harness = Harness(Trainer, tmp_path, Settings(autostart=False))
        await harness.start()
        with pytest.raises(CommandRefused, match="renders its own pictures"):
            await harness.call(train.START, train.Start(recipe=SEEING.name, data=str(tmp_path)))
        await harness.stop()

    run(scenario())
