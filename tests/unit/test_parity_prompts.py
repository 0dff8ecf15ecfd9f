"""What backends are compared on: seeded, from held-out text where there is some, and bounded whatever the recipe."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from compiled import MICRO, SEEING
from exports import held_out

from agents.exporter.parity.prompts import LOGITS, Batch, draw, size_for
from agents.parts.heldout import BadHeldout
from agents.parts.recipes import RECIPES, Recipe
from agents.parts.targets import IGNORED

LARGEST_VOCABULARY = dataclasses.replace(RECIPES["llm_8B"], vocabulary=1 << 20)


@pytest.mark.parametrize("recipe", [*RECIPES.values(), SEEING, LARGEST_VOCABULARY], ids=lambda recipe: recipe.name)
def test_the_logits_of_a_batch_are_bounded_and_something_is_left_to_continue(recipe: Recipe) -> None:
    size = size_for(recipe)

    assert 4 * size.rows * size.window * recipe.vocabulary <= LOGITS or size.rows == 1
    assert size.window <= recipe.context and size.length >= 1 and size.continued >= 1
    assert size.length + size.continued == size.window and size.heldout >= size.rows


def test_a_small_recipe_is_compared_over_its_whole_context() -> None:
    assert size_for(RECIPES["tiny"]).window == RECIPES["tiny"].context


@pytest.mark.parametrize("recipe", [MICRO, SEEING], ids=lambda recipe: recipe.name)
def test_every_second_prompt_begins_a_held_out_row_behind_its_own_picture(recipe: Recipe) -> None:
    *images, tokens, _ = rows = held_out(recipe, rows=100)

    drawn = draw(recipe, rows, seed=3)

    starts = tokens[:, : drawn.size.length].tolist()
    numbers = [starts.index(prompt) for prompt in drawn.prompts.tokens[::2].tolist()]
    assert len(set(numbers)) == drawn.size.rows / 2
    if images:
        assert drawn.prompts.images is not None
        np.testing.assert_array_equal(drawn.prompts.images[::2], images[0][numbers])


@pytest.mark.parametrize("rows", [held_out(MICRO), None])
def test_a_seed_draws_the_same_prompts_and_another_seed_draws_others(rows: Batch | None) -> None:
    first, again, other = (draw(MICRO, rows, seed).prompts.tokens.tolist() for seed in (0, 0, 1))

    assert first == again != other


def test_all_held_out_rows_are_read_in_their_order() -> None:
    rows = held_out(MICRO)

    drawn = draw(MICRO, rows, seed=0)

    assert drawn.heldout is not None and drawn.targets is not None
    np.testing.assert_array_equal(drawn.heldout.tokens, rows[0])
    np.testing.assert_array_equal(drawn.targets, rows[1])


def test_a_large_recipe_reads_few_held_out_rows_from_all_over() -> None:
    large = dataclasses.replace(RECIPES["llm_1345M"], context=64)
    rows = np.tile(np.arange(1000, dtype=np.int32)[:, None], 64)

    drawn = draw(large, (rows, rows), seed=0)

    assert drawn.targets is not None
    assert len(drawn.targets) < 20 and drawn.targets[0, 0] == 0 and drawn.targets[-1, 0] == 999


@pytest.mark.parametrize("recipe", [MICRO, RECIPES["tiny"]], ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("rows", [1, 3, 40])
def test_the_prompts_of_a_small_vocabulary_have_all_of_it_whatever_is_held_out(recipe: Recipe, rows: int) -> None:
    tokens, targets = held_out(recipe, rows)

    drawn = draw(recipe, (tokens % 5, targets), seed=0)

    assert set(drawn.prompts.tokens.flat) == set(range(recipe.vocabulary))
    assert drawn.prompts.tokens.shape == (drawn.size.rows, drawn.size.length)


def altered(change: str) -> Batch:
    tokens, targets = (each.copy() for each in held_out(MICRO))
    if change == "a token too high":
        tokens[3, 3] = MICRO.vocabulary
    elif change == "a negative target":
        targets[3, 3] = -1
    elif change == "no target":
        targets[:] = IGNORED
    elif change == "fewer targets":
        return tokens, targets[1:]
    elif change == "another width":
        return tokens[:, 1:], targets[:, 1:]
    elif change == "another type":
        return tokens.astype(np.int64), targets
    return (tokens[:0], targets[:0]) if change == "no rows" else (tokens, targets)


@pytest.mark.parametrize(
    "change", ["a token too high", "a negative target", "no target", "fewer targets", "another width", "another type", "no rows"]
)
def test_held_out_rows_that_are_none_of_the_recipe_s_are_refused(change: str) -> None:
    with pytest.raises(BadHeldout, match=r"recipe micro|want 0 to 255|no target counts"):
        draw(MICRO, altered(change), seed=0)


def test_pictures_are_refused_where_none_are_seen() -> None:
    with pytest.raises(BadHeldout, match="uint8"):
        draw(MICRO, held_out(SEEING), seed=0)
