"""The sizes that a model comes in, by name. A recipe says all that shapes a model and how it is trained best."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class UnknownRecipe(LookupError):
    """No recipe has this name; the message says which do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vision:
    """The shape of a vision transformer (Dosovitskiy et al. 2021): square pictures of `image` pixels, cut into squares of `patch`."""

    image: int
    patch: int
    channels: int = 3
    width: int
    layers: int
    heads: int
    ffn: int

    @property
    def patches(self) -> int:
        """Of one picture; the decoder reads each as a token."""
        return (self.image // self.patch) ** 2

    @property
    def patch_values(self) -> int:
        """Numbers in one patch."""
        return self.patch**2 * self.channels

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    def parameters(self, decoder: int) -> int:
        """Weights of the encoder, its learnt positions and its projector to the width of a decoder."""
        return self.patches * self.width + self._weights(decoder)

    def flops(self, decoder: int) -> int:
        """For one picture, forward and backward; counted as Recipe.flops_per_token does."""
        return self.patches * (6 * self._weights(decoder) + 12 * self.layers * self.width * self.patches)

    def _weights(self, decoder: int) -> int:
        """Those that every patch meets."""
        return self.width * (self.patch_values + 1 + decoder) + self.layers * _block(self.width, self.ffn, self.width)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The shape of a Llama-family decoder, and of the encoder of its pictures where it sees any.

    `context` in tokens of text, `batch` in sequences, `learning_rate` is the schedule's peak.
    """

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
    vision: Vision | None = None

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def positions(self) -> int:
        """Tokens of pictures and text that the decoder reads at most."""
        return self.context + (self.vision.patches if self.vision else 0)

    @property
    def parameters(self) -> int:
        """Weights in the model, embedding and head included."""
        seeing = self.vision.parameters(self.width) if self.vision else 0
        return 2 * self.vocabulary * self.width + self.layers * self._block + self.width + seeing

    @property
    def flops_per_token(self) -> int:
        """Forward and backward, as PaLM's appendix B counts them: 6 a weight but the embedding's, 12 a layer, channel and position.

        What pictures take is shared out to the tokens of their text.
        """
        head = 6 * self.vocabulary * self.width
        body = 6 * (self.layers * self._block + self.width) + 12 * self.layers * self.width * self.positions
        seeing = self.vision.flops(self.width) if self.vision else 0
        return head + (body * self.positions + seeing) // self.context

    @property
    def _block(self) -> int:
        return _block(self.width, self.ffn, self.kv_heads * self.head_width)


def _block(width: int, ffn: int, keys: int) -> int:
    """Weights of a transformer's block."""
    return 2 * width * (width + keys) + 3 * width * ffn + 2 * width


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
        Recipe(
            name="vlm", layers=2, width=96, heads=4, kv_heads=2, ffn=256, vocabulary=16, context=9, batch=32, learning_rate=4e-3,
            vision=Vision(image=32, patch=4, width=64, layers=2, heads=4, ffn=176),
        ),
    )
}  # fmt: skip
"""By name. `llm_8B` is Llama 3's shape, `llm_13B` Llama 2's; the peak rates of the four largest are those of GPT-3's models of such
sizes (Brown et al. 2020, table 2.1), their contexts what stored attention scores leave room for."""


def recipe_named(name: str) -> Recipe:
    """The recipe called `name`, in any case. Raises UnknownRecipe with the nearest name."""
    by_lower_case = {known.lower(): recipe for known, recipe in RECIPES.items()}
    if recipe := by_lower_case.get(name.lower()):
        return recipe
    if near := difflib.get_close_matches(name.lower(), by_lower_case, 1):
        raise UnknownRecipe(f"no recipe {name!r}: did you mean {by_lower_case[near[0]].name!r}?")
    raise UnknownRecipe(f"no recipe {name!r}: there are {', '.join(RECIPES)}")


def shapes(recipe: Recipe) -> dict[str, tuple[int, ...]]:
    """Every weight's shape by its name in Hugging Face's LlamaForCausalLM; a projection is [out, in].

    Those of an encoder begin with `vision.`, its blocks named as the decoder's.
    """
    width = recipe.width
    return {
        "model.embed_tokens.weight": (recipe.vocabulary, width),
        **_blocks("model", recipe.layers, width, recipe.ffn, recipe.kv_heads * recipe.head_width),
        "model.norm.weight": (width,),
        "lm_head.weight": (recipe.vocabulary, width),
        **(_seeing(recipe.vision, width) if recipe.vision else {}),
    }


def _seeing(vision: Vision, decoder: int) -> dict[str, tuple[int, ...]]:
    return {
        "vision.patches.weight": (vision.width, vision.patch_values),
        "vision.positions.weight": (vision.patches, vision.width),
        **_blocks("vision", vision.layers, vision.width, vision.ffn, vision.width),
        "vision.norm.weight": (vision.width,),
        "vision.projector.weight": (decoder, vision.width),
    }


def rotary_angles(recipe: Recipe) -> NDArray[np.float64]:
    """The angle [positions, head width / 2] by which each pair of channels turns at each position (Su et al. 2021)."""
    frequencies = recipe.rope_base ** -(np.arange(0, recipe.head_width, 2) / recipe.head_width)
    return np.outer(np.arange(recipe.positions), frequencies)


def _blocks(name: str, layers: int, width: int, ffn: int, keys: int) -> dict[str, tuple[int, ...]]:
    block = {
        "input_layernorm": (width,),
        "self_attn.q_proj": (width, width),
        "self_attn.k_proj": (keys, width),
        "self_attn.v_proj": (keys, width),
        "self_attn.o_proj": (width, width),
        "post_attention_layernorm": (width,),
        "mlp.gate_proj": (ffn, width),
        "mlp.up_proj": (ffn, width),
        "mlp.down_proj": (width, ffn),
    }
    return {f"{name}.layers.{index}.{part}.weight": shape for index in range(layers) for part, shape in block.items()}
