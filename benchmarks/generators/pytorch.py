"""The whole model in PyTorch, as transformers has it, with its cache. `python -m benchmarks.generators.pytorch JOB`, in .venvs/petals."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice

import msgspec
import torch
from transformers import LlamaForCausalLM

from benchmarks.generators.job import Job
from benchmarks.generators.turns import take_turns
from benchmarks.trainers.turns import Turns


def main() -> None:
    turns = Turns()
    job = msgspec.json.decode(sys.argv[1], type=Job)
    torch.set_num_threads(job.threads)
    model = LlamaForCausalLM.from_pretrained(job.folder, torch_dtype=torch.float32, use_safetensors=True).eval()
    take_turns(turns, lambda: islice(write(model, job.prompt), job.tokens), "transformers", "torch")


def write(model: LlamaForCausalLM, prompt: list[int]) -> Iterator[int]:
    """The likeliest tokens behind the prompt, without end."""
    tokens, past = torch.tensor([prompt]), None
    while True:
        with torch.inference_mode():
            output = model(tokens, past_key_values=past, use_cache=True)
        past, tokens = output.past_key_values, output.logits[:, -1:].argmax(-1)
        yield int(tokens)


if __name__ == "__main__":
    main()
