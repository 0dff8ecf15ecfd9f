"""Every recipe is checked against this machine, and trained for a step where it fits."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from compiled import DEVICE, MICRO

from agents.parts.compiler import NoDevice
from agents.parts.memory import needed
from agents.parts.recipes import RECIPES
from agents.trainer import checks, worker
from agents.trainer.agent import Trainer
from agents.trainer.plan import Settings
from bus.errors import CommandRefused
from bus.testing import Harness, run
from bus.topic import Nothing
from schemas import train


async def idle(tmp_path: Path) -> Harness[Trainer]:
    harness = Harness(Trainer, tmp_path, Settings(autostart=False))
    await harness.start()
    return harness


async def until_checked(harness: Harness[Trainer]) -> list[train.RecipeChecked]:
    while harness.agent.worker.checking:  # noqa: ASYNC110  # the training thread sets no asyncio event
        await asyncio.sleep(0.01)
    return harness.bus.published(train.RECIPE_CHECKED)


def test_what_fits_is_trained_for_a_step_and_what_does_not_says_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        harness = await idle(tmp_path)

        reply = await harness.call(train.CHECK_RECIPES, train.CheckRecipes(recipes=["micro", "LLM_13b"]))

        assert reply.recipes == 2
        small, large = await until_checked(harness)
        assert (small.recipe, small.device, small.parameters, small.fits, small.reason) == ("micro", DEVICE, MICRO.parameters, True, None)
        assert small.loss == pytest.approx(np.log(256), abs=0.1) and (small.seconds or 0) > 0
        assert small.needed == needed(MICRO).on_device + small.memory.checkpoint < (small.free or 0)
        assert (large.recipe, large.fits, large.loss, large.seconds) == ("llm_13B", False, None, None)
        assert "llm_13B needs" in (large.reason or "")
        assert harness.bus.states[-1] == ("done", "2 recipes checked: artifacts/train/recipe_results.json")
        await harness.stop()

    run(scenario())


def test_nothing_else_begins_while_recipes_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        harness = await idle(tmp_path)
        monkeypatch.setattr(checks, "one_step", lambda *_: (5.5, 1.0))
        harness.agent.worker.checking = True
        for command, request in ((train.START, train.Start()), (train.CHECK_RECIPES, train.CheckRecipes())):
            with pytest.raises(CommandRefused, match="recipes are being checked"):
                await harness.call(command, request)
        with pytest.raises(CommandRefused, match="no run is in progress"):
            await harness.call(train.STOP, Nothing())
        harness.agent.worker.checking = False
        assert (await harness.call(train.CHECK_RECIPES, train.CheckRecipes())).recipes == len(RECIPES)
        assert [each.recipe for each in await until_checked(harness)] == list(RECIPES)
        with pytest.raises(CommandRefused, match="did you mean 'micro'"):
            await harness.call(train.CHECK_RECIPES, train.CheckRecipes(recipes=["mikro"]))
        await harness.stop()

    run(scenario())


def test_a_step_that_fails_is_a_result_and_the_next_recipe_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> tuple[float, float]:
        raise MemoryError("none left")

    monkeypatch.setattr(checks, "one_step", fails)

    async def scenario() -> None:
        harness = await idle(tmp_path)
        await harness.call(train.CHECK_RECIPES, train.CheckRecipes(recipes=["micro", "tiny"]))
        found = await until_checked(harness)
        assert [(each.recipe, each.fits, each.loss, each.reason) for each in found] == [
            ("micro", True, None, "MemoryError: none left"),
            ("tiny", True, None, "MemoryError: none left"),
        ]
        await harness.stop()

    run(scenario())


def test_without_a_device_the_agent_says_so_and_takes_the_next_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> str:
        raise NoDevice("no C compiler: install clang")

    monkeypatch.setattr(worker, "open_device", nothing)

    async def scenario() -> None:
        harness = await idle(tmp_path)
        await harness.call(train.CHECK_RECIPES, train.CheckRecipes(recipes=["micro"]))
        assert await until_checked(harness) == []
        state, reason = harness.bus.states[-1]
        assert state == "unavailable" and "install clang" in (reason or "")
        await harness.stop()

    run(scenario())
