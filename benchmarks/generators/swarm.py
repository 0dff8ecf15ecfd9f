"""Ours through a swarm, as the agent petals writes: a chain in .venvs/petals. `python -m benchmarks.generators.swarm JOB`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np

from agents.parts.generation.folder import read_config
from agents.parts.generation.sampling import Sampling
from agents.parts.generation.tokens import generate
from agents.petals.chain_client import ChainClient
from agents.petals.routes import Routes, SwarmRoute
from agents.petals.settings import PetalsSettings
from benchmarks._swarm import joined
from benchmarks.generators.job import SwarmJob
from benchmarks.generators.turns import take_turns
from benchmarks.trainers.turns import Turns


def main() -> None:
    turns = Turns()
    job = msgspec.json.decode(sys.argv[1], type=SwarmJob)
    context = read_config(Path(job.folder)).max_position_embeddings
    short = [job.prompt[-1]]
    with joined(job) as chain:
        take_turns(turns, lambda: write(chain, context, job.prompt, job.tokens), short=lambda: write(chain, context, short, 2))


def write(chain: ChainClient, context: int, prompt: list[int], tokens: int) -> Iterator[int]:
    """The likeliest tokens behind the prompt, in a session of their own. Raises Unanswered."""
    routes = Routes(context, None, [("swarm", SwarmRoute(chain, context, tokens, PetalsSettings().patience))], lambda *_: None)
    try:
        written = generate(routes, np.array([prompt]), Sampling(temperature=0))
        yield from (int(token) for (token,) in islice(written, tokens))
    finally:
        routes.close()


if __name__ == "__main__":
    main()
