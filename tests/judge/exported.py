"""Loads an exported folder with transformers, as its users do, and writes down what it makes of texts and tokens.

`python exported.py FOLDER ORDER INPUT OUTPUT`, run by the Python of .venvs/judge, which has nothing of ours. ORDER is JSON: `texts` to
encode, and `continued`, how many tokens to decode greedily behind the first row. INPUT is a safetensors file of `input_ids` [batch, length]
or `inputs_embeds` [batch, length, width]. OUTPUT gets `logits`, computed in float32. What else was found is JSON on stdout.
"""

import json
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer


def main() -> None:
    folder, order, inputs = sys.argv[1], json.loads(sys.argv[2]), load_file(sys.argv[3])
    config, tokenizer = AutoConfig.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    model, loading = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    inputs = {name: tensor.long() if name == "input_ids" else tensor for name, tensor in inputs.items()}
    with torch.no_grad():
        save_file({"logits": model(**inputs).logits.contiguous()}, sys.argv[4])
    ids = [tokenizer(text).input_ids for text in order["texts"]]
    found = {
        "class": type(model).__name__,
        "dtype": str(config.dtype),
        "context": config.max_position_embeddings,
        "rope": config.rope_parameters["rope_theta"],
        "end": [model.generation_config.bos_token_id, model.generation_config.eos_token_id, model.generation_config.pad_token_id],
        "unexpected": sorted(loading["unexpected_keys"]),
        "missing": sorted(loading["missing_keys"]),
        "greedy": greedy(model, inputs["input_ids"][:1], order["continued"]) if order["continued"] else [],
        "ids": ids,
        "decoded": [tokenizer.decode(each) for each in ids],
        "tokens": len(tokenizer),
        "longest": tokenizer.model_max_length,
    }
    sys.stdout.write(json.dumps(found))


def greedy(model: torch.nn.Module, tokens: torch.Tensor, count: int) -> list[int]:
    return model.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=count, do_sample=False)[0].tolist()


if __name__ == "__main__":
    main()
