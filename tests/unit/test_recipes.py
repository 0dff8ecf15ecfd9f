"""A recipe's numbers are those of its shapes, and a name finds its recipe."""

import dataclasses
import math

import pytest

from agents.parts.recipes import RECIPES, Recipe, UnknownRecipe, Vision, recipe_named, shapes

PARAMETERS = {
    "micro": 34_976,
    "tiny": 803_968,
    "small": 4_558_080,
    "llm_1345M": 1_345_423_360,
    "llm_2702M": 2_701_560_320,
    "llm_8B": 8_030_261_248,
    "llm_13B": 13_015_864_320,
    "vlm": 320_288,
}


def test_every_recipe_has_the_parameters_that_are_written_here() -> None:
    assert {name: recipe.parameters for name, recipe in RECIPES.items()} == PARAMETERS


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_a_recipe_counts_the_parameters_of_its_shapes(recipe: Recipe) -> None:
    assert recipe.parameters == sum(math.prod(shape) for shape in shapes(recipe).values())


def test_what_a_picture_takes_is_counted_by_hand() -> None:
    vision = Vision(image=16, patch=4, width=24, layers=2, heads=3, ffn=40)
    plain = RECIPES["micro"]
    seeing = dataclasses.replace(plain, vision=vision)

    block = 4 * 24 * 24 + 3 * 24 * 40 + 2 * 24
    encoder = 24 * 48 + 2 * block + 24 + 32 * 24
    assert (vision.patches, vision.patch_values, seeing.positions) == (16, 48, 48)
    assert seeing.parameters == plain.parameters + 16 * 24 + encoder == sum(math.prod(shape) for shape in shapes(seeing).values())
    read = 48 * (6 * (2 * (2 * 32 * 48 + 3 * 32 * 64 + 64) + 32) + 12 * 2 * 32 * 48)
    assert seeing.flops_per_token == 6 * 256 * 32 + (read + 16 * (6 * encoder + 12 * 2 * 24 * 16)) // 32


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_a_recipe_s_heads_divide_its_width_and_each_other(recipe: Recipe) -> None:
    assert recipe.width == recipe.heads * recipe.head_width and recipe.head_width % 2 == 0
    assert recipe.heads % recipe.kv_heads == 0


def test_the_default_recipe_is_what_the_readme_says() -> None:
    tiny = RECIPES["tiny"]

    assert (tiny.context, tiny.batch, tiny.vocabulary) == (128, 8, 256)
    assert 0.75e6 < tiny.parameters < 0.85e6
    assert tiny.kv_heads < tiny.heads


def test_an_unknown_recipe_is_answered_with_the_nearest_one() -> None:
    assert recipe_named("TINY") is RECIPES["tiny"]
    assert recipe_named("llm_8b") is recipe_named("LLM_8B") is RECIPES["llm_8B"]
    with pytest.raises(UnknownRecipe, match="did you mean 'tiny'"):
        recipe_named("tinny")
