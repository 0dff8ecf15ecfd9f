"""onnxruntime-genai, as its own examples call it. `python -m benchmarks.generators.genai JOB`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import msgspec
import numpy as np
import onnxruntime_genai
from numpy.typing import NDArray

from benchmarks.generators.job import Job
from benchmarks.generators.turns import take_turns
from benchmarks.trainers.turns import Turns


def main() -> None:
    turns = Turns()
    job = msgspec.json.decode(sys.argv[1], type=Job)
    config = onnxruntime_genai.Config(job.folder)
    # As many threads as ours has, where it takes fewer by itself; and no token ends a text early.
    changed = {"model": {"eos_token_id": [], "decoder": {"session_options": {"intra_op_num_threads": job.threads}}}}
    config.overlay(msgspec.json.encode(changed).decode())
    model = onnxruntime_genai.Model(config)

    def begin() -> Iterator[int]:
        parameters = onnxruntime_genai.GeneratorParams(model)
        parameters.set_search_options(max_length=len(job.prompt) + job.tokens, do_sample=False)
        return write(onnxruntime_genai.Generator(model, parameters), np.array(job.prompt, np.int32))

    take_turns(turns, begin, "onnxruntime-genai", "onnxruntime")


def write(generator: onnxruntime_genai.Generator, prompt: NDArray[np.int32]) -> Iterator[int]:
    generator.append_tokens(prompt)
    while not generator.is_done():
        generator.generate_next_token()
        yield int(generator.get_next_tokens()[0])


if __name__ == "__main__":
    main()
