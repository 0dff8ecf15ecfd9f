"""A contender's side of the pipe: told a number of texts, it writes them and answers with a Turn; otherwise it stands still."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from importlib.metadata import version

import msgspec
import numpy as np

from benchmarks.generators.job import Turn
from benchmarks.trainers.turns import Turns, peak_rss


def take_turns(turns: Turns, begin: Callable[[], Iterator[int]], *packages: str) -> None:
    """`begin` prepares for a text and gives its tokens, one as each is asked for."""
    versions = {package: version(package) for package in packages}

    def work(texts: int) -> dict[str, object]:
        seconds = np.zeros(3)
        for _ in range(texts):
            began = time.perf_counter()
            tokens = begin()
            ready = time.perf_counter()
            text = [next(tokens)]
            came = time.perf_counter()
            text += tokens
            seconds += (ready - began, came - ready, time.perf_counter() - came)
        means = dict(zip(("begin", "first", "later"), (seconds / texts).tolist(), strict=True))
        return msgspec.structs.asdict(Turn(**means, text=text, peak_rss=peak_rss(), versions=versions))

    turns.answer(work)
