"""Petals' own client, as its README calls it, token by token. `python -m benchmarks.generators.stock JOB`, in .venvs/petals.

Nothing of ours but the module that makes petals importable beside this hivemind, and that a session is closed once only: see
agents/petals/swarm/text.py. With its destructor this client stood still after some hundred texts.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec
import torch

import agents.petals.swarm.compatibility  # noqa: F401  # before petals

# isort: split
from petals import AutoDistributedModelForCausalLM
from petals.client.inference_session import _ServerInferenceSession

from benchmarks.generators.job import SwarmJob
from benchmarks.generators.turns import take_turns
from benchmarks.trainers.turns import Turns

del _ServerInferenceSession.__del__


def main() -> None:
    turns = Turns()
    job = msgspec.json.decode(sys.argv[1], type=SwarmJob)
    model = AutoDistributedModelForCausalLM.from_pretrained(
        job.folder, dht_prefix=job.prefix, initial_peers=job.peers, use_chunked_forward=False
    )
    opened = ExitStack()

    def begin(prompt: list[int], tokens: int) -> Iterator[int]:
        opened.close()  # the session of the text before
        opened.enter_context(model.inference_session(max_length=len(prompt) + tokens))
        return write(model, prompt, tokens)

    short = [job.prompt[-1]]
    take_turns(turns, lambda: begin(job.prompt, job.tokens), "petals", "hivemind", "torch", short=lambda: begin(short, 2))


def write(model: AutoDistributedModelForCausalLM, prompt: list[int], tokens: int) -> Iterator[int]:
    """The likeliest tokens behind the prompt, in the session that is open."""
    inputs = torch.tensor([prompt])
    for _ in range(tokens):
        (written,) = model.generate(inputs, max_new_tokens=1, do_sample=False, pad_token_id=0)
        yield int(written[-1])
        inputs = None  # the session remembers the others


if __name__ == "__main__":
    main()
