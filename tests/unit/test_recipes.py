"""A recipe's numbers are those of its shapes, and a name finds its recipe."""

import math

import pytest

from agents.parts.recipes import RECIPES, Recipe, UnknownRecipe, recipe_named, shapes

PARAMETERS = {
    "micro": 34_976,
    "tiny": 803_968,
    "small": 4_558_080,
    "llm_1345M": 1_345_423_360,
    "llm_2702M": 2_701_560_320,
    "llm_8B": 8_030_261_248,
    "llm_13B": 13_015_864_320,
}


def test_every_recipe_has_the_parameters_that_are_written_here() -> None:
    assert {name: recipe.parameters for name, recipe in RECIPES.items()} == PARAMETERS


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_a_recipe_counts_the_parameters_of_its_shapes(recipe: Recipe) -> None:
    assert recipe.parameters == sum(math.prod(shape) for shape in shapes(recipe).values())


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
