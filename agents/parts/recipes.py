"""The sizes that a decoder comes in, by name. A recipe says all that shapes a model and how it is trained best."""

from __future__ import annotations

import difflib
from dataclasses import dataclass


class UnknownRecipe(LookupError):
    """No recipe has this name; the message says which do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The shape of a Llama-family decoder. `context` in tokens, `batch` in sequences, `learning_rate` is the schedule's peak."""

    name: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    ffn: int
    vocabulary: int
    context: int
    batch: int
    learning_rate: float
    rope_base: float = 10000.0
    norm_epsilon: float = 1e-5

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def parameters(self) -> int:
        """Weights in the model, embedding and head included."""
        attention = 2 * self.width * self.head_width * (self.heads + self.kv_heads)
        layer = attention + 3 * self.width * self.ffn + 2 * self.width
        return 2 * self.vocabulary * self.width + self.layers * layer + self.width

    @property
    def flops_per_token(self) -> int:
        """Forward and backward, as PaLM's appendix B counts them: 6 a weight but the embedding's, 12 a layer, channel and position."""
        return 6 * (self.parameters - self.vocabulary * self.width) + 12 * self.layers * self.width * self.context


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(name="micro", layers=2, width=32, heads=4, kv_heads=2, ffn=64, vocabulary=256, context=32, batch=4, learning_rate=1e-2),
        Recipe(name="tiny", layers=4, width=128, heads=4, kv_heads=2, ffn=352, vocabulary=256, context=128, batch=8, learning_rate=3e-3),
        Recipe(name="small", layers=6, width=256, heads=8, kv_heads=4, ffn=704, vocabulary=256, context=256, batch=8, learning_rate=1e-3),
        Recipe(
            name="llm_1345M", layers=24, width=2048, heads=16, kv_heads=16, ffn=5504, vocabulary=32000, context=1024, batch=2,
            learning_rate=2e-4,
        ),
        Recipe(
            name="llm_2702M", layers=32, width=2560, heads=20, kv_heads=20, ffn=6912, vocabulary=32000, context=1024, batch=2,
            learning_rate=1.6e-4,
        ),
        Recipe(
            name="llm_8B", layers=32, width=4096, heads=32, kv_heads=8, ffn=14336, vocabulary=128256, context=2048, batch=1,
            learning_rate=1.2e-4, rope_base=500000.0,
        ),
        Recipe(
            name="llm_13B", layers=40, width=5120, heads=40, kv_heads=40, ffn=13824, vocabulary=32000, context=2048, batch=1,
            learning_rate=1e-4,
        ),
    )
}  # fmt: skip
"""By name, the smallest first. `llm_8B` is Llama 3's shape, `llm_13B` Llama 2's; the peak rates of the four largest are those of
GPT-3's models of such sizes (Brown et al. 2020, table 2.1), the contexts what their stored attention scores leave room for."""


def recipe_named(name: str) -> Recipe:
    """The recipe called `name`, in any case. Raises UnknownRecipe with the nearest name."""
    by_lower_case = {known.lower(): recipe for known, recipe in RECIPES.items()}
    if recipe := by_lower_case.get(name.lower()):
        return recipe
    if near := difflib.get_close_matches(name.lower(), by_lower_case, 1):
        raise UnknownRecipe(f"no recipe {name!r}: did you mean {by_lower_case[near[0]].name!r}?")
    raise UnknownRecipe(f"no recipe {name!r}: there are {', '.join(RECIPES)}")


def shapes(recipe: Recipe) -> dict[str, tuple[int, ...]]:
    """Every weight's shape by its name in Hugging Face's LlamaForCausalLM; a projection is [out, in]."""
    width, keys = recipe.width, recipe.kv_heads * recipe.head_width
    layer = {
        "input_layernorm": (width,),
        "self_attn.q_proj": (width, width),
        "self_attn.k_proj": (keys, width),
        "self_attn.v_proj": (keys, width),
        "self_attn.o_proj": (width, width),
        "post_attention_layernorm": (width,),
        "mlp.gate_proj": (recipe.ffn, width),
        "mlp.up_proj": (recipe.ffn, width),
        "mlp.down_proj": (width, recipe.ffn),
    }
    return {
        "model.embed_tokens.weight": (recipe.vocabulary, width),
        **{f"model.layers.{index}.{name}.weight": shape for index in range(recipe.layers) for name, shape in layer.items()},
        "model.norm.weight": (width,),
        "lm_head.weight": (recipe.vocabulary, width),
    }
