"""genai_config.json, by which onnxruntime-genai runs a folder: https://onnxruntime.ai/docs/genai/reference/config.html."""

from __future__ import annotations

import msgspec

from agents.exporter.names import MODEL
from agents.parts.recipes import Recipe


def genai_files(recipe: Recipe, end: int) -> dict[str, bytes]:
    """The file's content by its name; none of a model that sees, whose decoder reads no tokens. `end` is the token between documents.

    A step does not fill the cache that it gets (`past_present_share_buffer`): the standard's Attention gives one that is longer.
    """
    if recipe.vision:
        return {}
    decoder = {
        "filename": MODEL,
        "head_size": recipe.head_width,
        "hidden_size": recipe.width,
        "num_attention_heads": recipe.heads,
        "num_hidden_layers": recipe.layers,
        "num_key_value_heads": recipe.kv_heads,
        "inputs": {
            "input_ids": "input_ids",
            "position_ids": "position_ids",
            "past_key_names": "past_key_values.%d.key",
            "past_value_names": "past_key_values.%d.value",
        },
        "outputs": {"logits": "logits", "present_key_names": "present.%d.key", "present_value_names": "present.%d.value"},
    }
    model = {
        "type": "llama",
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
        "context_length": recipe.positions,
        "vocab_size": recipe.vocabulary,
        "decoder": decoder,
    }
    search = {"max_length": recipe.positions, "past_present_share_buffer": False, "do_sample": False}
    return {"genai_config.json": msgspec.json.format(msgspec.json.encode({"model": model, "search": search}), indent=2) + b"\n"}
