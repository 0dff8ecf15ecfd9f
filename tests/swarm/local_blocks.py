"""Runs our embeddings, blocks and head beside transformers' LlamaForCausalLM, in the same pieces, and says whether every bit is the same.

`python local_blocks.py WHOLE FOLDER CACHE PREFIX START END PIECE...`, by the Python that has Petals. transformers runs the folder WHOLE; of
FOLDER and CACHE are our skeleton and our blocks START to END, which read what transformers' block before them wrote. A piece is a number
of tokens, read at once. What was found, or what was raised, is JSON on stdout.
"""

import json
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import LlamaForCausalLM

from agents.petals.swarm.blocks import LocalBlocks
from agents.petals.swarm.skeleton import Skeleton


def main() -> None:
    whole, folder, cache, prefix, *numbers = sys.argv[1:]
    try:
        found = compared(Path(whole), Path(folder), Path(cache), prefix, *map(int, numbers))
    except Exception as error:  # whatever it is, the test looks at it
        found = {"error": type(error).__name__, "message": str(error)}
    sys.stdout.write(json.dumps(found))


def compared(whole: Path, folder: Path, cache: Path, prefix: str, start: int, end: int, *pieces: int) -> dict[str, object]:
    torch.set_num_threads(1)
    skeleton = Skeleton.open(folder, prefix)
    blocks = LocalBlocks.open(folder, cache, prefix, start, end, skeleton.config)
    judge = LlamaForCausalLM.from_pretrained(whole, torch_dtype=blocks.dtype, use_safetensors=True).eval()
    found = same(judge, skeleton, blocks, start, end, pieces)
    gone = weakref.ref(blocks.blocks[0].mlp.down_proj.weight)
    del blocks
    return {**found, "dtype": str(judge.dtype), "released": gone() is None}


def same(judge: LlamaForCausalLM, skeleton: Skeleton, blocks: LocalBlocks, start: int, end: int, pieces: Sequence[int]) -> dict[str, bool]:
    read, written, found, past, text = [], [], {"embeddings": True, "hidden": True, "logits": True}, None, blocks.text()
    judge.model.layers[start].register_forward_pre_hook(lambda block, inputs: read.append(inputs[0]))
    judge.model.layers[end - 1].register_forward_hook(lambda block, inputs, output: written.append(output[0]))
    tokens = torch.randint(judge.config.vocab_size, (1, sum(pieces)), generator=torch.Generator().manual_seed(3))
    for piece in tokens.split(pieces, dim=1):
        with torch.inference_mode():
            output = judge(piece, past_key_values=past, use_cache=True, output_hidden_states=True)
        past = output.past_key_values
        found["embeddings"] &= torch.equal(skeleton.embed(piece[0].tolist()), output.hidden_states[0])
        hidden = text.step(read[-1])
        found["hidden"] &= torch.equal(hidden, written[-1])
        if end == judge.config.num_hidden_layers:
            found["logits"] &= torch.equal(torch.from_numpy(skeleton.logits(hidden)), output.logits[0, -1].float())
    return found


if __name__ == "__main__":
    main()
