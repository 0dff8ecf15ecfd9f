"""Ours: tokens from agents/parts/generation. `python -m benchmarks.generators.ours JOB`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np

from agents.parts.generation.decoder import Decoder
from agents.parts.generation.sampling import Sampling
from agents.parts.generation.tokens import generate
from benchmarks.generators.job import Job
from benchmarks.generators.turns import take_turns
from benchmarks.trainers.turns import Turns


def main() -> None:
    turns = Turns()
    job = msgspec.json.decode(sys.argv[1], type=Job)
    decoder = Decoder.open(Path(job.folder), job.threads)

    def begin() -> Iterator[int]:
        tokens = generate(decoder, np.array([job.prompt]), Sampling(temperature=0))
        return (int(token) for (token,) in islice(tokens, job.tokens))

    take_turns(turns, begin, "onnxruntime")


if __name__ == "__main__":
    main()
