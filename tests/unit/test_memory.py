"""What training needs is estimated near what it takes, and compared with what is free."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import psutil
import pynvml
import pytest
from compiled import MICRO, SEEING, batch, hyperparameters, learner
from tinygrad.helpers import GlobalCounters

from agents.parts import safetensors
from agents.parts.memory import Room, expected_device, fits, free_memory, needed, room, shortage
from agents.parts.operations import plain
from agents.parts.recipes import RECIPES, Recipe
from agents.trainer import plan
from agents.trainer.implementation import Implementation
from agents.trainer.optimizer import update
from bus.errors import CommandRefused
from bus.store import Store
from schemas.train import Start

GIB = 2**30


class OneCard:
    """A card with 20 GiB free, or a driver that does not answer."""

    def __init__(self, works: bool = True) -> None:
        self.works = works
        self.ended = False

    def nvmlInit(self) -> None:
        if not self.works:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

    def nvmlShutdown(self) -> None:
        self.ended = True

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        if index > 0:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(free=20 * GIB)


@pytest.mark.parametrize("recipe", [MICRO, SEEING, pytest.param(RECIPES["tiny"], marks=pytest.mark.slow)], ids=lambda each: each.name)
def test_the_estimate_is_near_what_a_step_takes(recipe: Recipe) -> None:
    gc.collect()
    before = GlobalCounters.mem_used
    trained = learner(hyperparameters(), recipe, Implementation(operations=plain(), update=update))
    for seed in range(3):  # the second one is kept, with its buffers, and the third only runs it
        trained.step([batch(seed, recipe)], 0.01)

    taken = GlobalCounters.mem_used - before
    assert 0.7 < needed(recipe).on_device / taken < 1.6


def test_a_checkpoint_takes_the_copies_that_are_counted(tmp_path: Path) -> None:
    trained, expected = learner(hyperparameters(), RECIPES["tiny"]), needed(RECIPES["tiny"]).checkpoint
    tracemalloc.start()
    state = trained.state()
    Store(tmp_path).put(safetensors.blocks(state.weights, {}))
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert expected == pytest.approx(taken, rel=0.25)  # one weight at a time is copied once more


def test_sums_of_gradients_are_counted_where_they_are_kept() -> None:
    once, summed = needed(RECIPES["tiny"]), needed(RECIPES["tiny"], accumulates=True)

    assert summed.on_device - once.on_device == once.weights


def test_a_recipe_that_does_not_fit_is_refused_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "room", lambda _: Room(free=22 * GIB, shared=False))

    with pytest.raises(CommandRefused) as refused:
        plan.make_plan(Start(recipe="LLM_8B"), plan.Settings())

    assert refused.value.code == "no_memory"
    assert refused.value.message == (
        "llm_8B needs 196 GiB to train (weights 29.9, gradients 29.9, moments 59.8, activations 76.8), "
        "and 22 GiB are free here: small is the largest recipe that fits"
    )


def test_what_shares_its_memory_also_needs_it_for_checkpoints() -> None:
    tight = needed(RECIPES["tiny"]).on_device

    assert fits(RECIPES["tiny"], Room(free=tight, shared=False))
    assert "a checkpoint's copies" in (shortage(RECIPES["tiny"], Room(free=tight, shared=True)) or "")
    assert "no recipe fits" in (shortage(RECIPES["tiny"], Room(free=0, shared=True)) or "")


def test_free_memory_is_read_where_the_device_has_it() -> None:
    assert 0 < (room("CPU").free or 0) <= psutil.virtual_memory().total
    assert (room("METAL").shared, room("CPU").shared) == (True, True)
    card = OneCard()
    assert (room("CUDA:0", card).free, card.ended) == (20 * GIB, True)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (room("CUDA", OneCard(works=False)), "NVML does not start"),
        (room("NV:1", OneCard()), "what is free on card 1"),
        (room("AMD"), "kind AMD"),
    ],
)
def test_where_nobody_knows_what_is_free_the_reason_is_said_and_training_may_try(found: Room, reason: str) -> None:
    assert found.free is None and reason in (found.reason or "")
    assert shortage(RECIPES["llm_13B"], found) is None


def test_a_container_has_no_more_than_it_is_allowed(tmp_path: Path) -> None:
    assert free_memory(tmp_path) > 0
    for limit, expected in (("1048576", 1048576 - 4096), ("1024", 0)):
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "memory.current").write_text("4096\n")
        assert free_memory(tmp_path) == expected
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(tmp_path) > 1048576


def test_the_device_is_foreseen_without_opening_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    assert expected_device({}, OneCard(works=False)) == "CPU"
    assert expected_device({}, OneCard()) == "CUDA"
    assert expected_device({"DEV": "cpu:LLVM"}, OneCard()) == "CPU"
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert expected_device({}, OneCard()) == "METAL"
