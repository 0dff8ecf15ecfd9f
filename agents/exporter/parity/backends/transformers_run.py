"""Runs an exported folder with transformers' LlamaForCausalLM: an implementation by others, with a cache and a decoding of its own.

`python transformers_run.py FOLDER INPUT OUTPUT`, by a Python that has PyTorch and transformers, and nothing of ours. INPUT is a
safetensors file: `prompts` [n, length], and where there is held-out text `heldout` and `targets` [m, window]; for a model that sees also
`prompts_features` and `heldout_features` [.., patches, width], which stand before the texts' embeddings. Its metadata say how many tokens
follow a prompt (`continued`) and how many rows a batch has (`rows`). OUTPUT gets `logits` [n, length, vocabulary], `behind_cache` (those
of the last positions, read behind a cache), `continuations` [n, continued], and the cross-entropy of the targets, summed up (`nats`), with
their number (`counted`). The process ends with its standard input, a pipe from whoever started it.
"""

import os
import sys
import threading

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import GenerationConfig, LlamaForCausalLM

IGNORED = -100


def main() -> None:
    threading.Thread(target=end_with_input, daemon=True).start()
    folder, given, found = sys.argv[1:]
    with safe_open(given, "pt") as file:
        continued, rows = (int(file.metadata()[name]) for name in ("continued", "rows"))
    tensors = load_file(given)
    model = (
        LlamaForCausalLM.from_pretrained(folder, local_files_only=True, use_safetensors=True, attn_implementation="eager").float().eval()
    )
    with torch.inference_mode():
        read = prompts_read(model, tensors, continued)
        if "heldout" in tensors:
            read |= heldout_read(model, tensors, rows)
    save_file({name: tensor.contiguous() for name, tensor in read.items()}, found)


def prompts_read(model: LlamaForCausalLM, tensors: dict[str, torch.Tensor], continued: int) -> dict[str, torch.Tensor]:
    length = tensors["prompts"].shape[1]
    whole = embedded(model, tensors["prompts"], tensors.get("prompts_features"))
    middle = whole.shape[1] - (length - length // 2)
    kept = model(inputs_embeds=whole[:, :middle], use_cache=True).past_key_values if middle else None
    # Of its own, lest the folder's end token ends a row.
    model.generation_config = GenerationConfig(max_new_tokens=continued, do_sample=False, pad_token_id=0)
    return {
        "logits": model(inputs_embeds=whole).logits[:, -length:],
        "behind_cache": model(inputs_embeds=whole[:, middle:], past_key_values=kept).logits,
        "continuations": model.generate(inputs_embeds=whole, attention_mask=torch.ones(whole.shape[:2], dtype=torch.long)),
    }


def heldout_read(model: LlamaForCausalLM, tensors: dict[str, torch.Tensor], rows: int) -> dict[str, torch.Tensor]:
    tokens, targets, features = tensors["heldout"], tensors["targets"].long(), tensors.get("heldout_features")
    total = torch.zeros((), dtype=torch.float64)
    for start in range(0, len(tokens), rows):
        batch = slice(start, start + rows)
        whole = embedded(model, tokens[batch], None if features is None else features[batch])
        logits = model(inputs_embeds=whole).logits[:, -tokens.shape[1] :].flatten(0, 1).double()
        total += torch.nn.functional.cross_entropy(logits, targets[batch].flatten(), ignore_index=IGNORED, reduction="sum")
    return {"nats": total, "counted": (targets != IGNORED).sum()}


def embedded(model: LlamaForCausalLM, tokens: torch.Tensor, features: torch.Tensor | None) -> torch.Tensor:
    text = model.get_input_embeddings()(tokens.long())
    return text if features is None else torch.cat([features, text], dim=1)


def end_with_input() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    main()
